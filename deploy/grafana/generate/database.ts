// A question about a field of a source, and how each database is asked it.
//
//   Ask ──▶ influxql()  ──▶ InfluxQL, with Grafana's $timeFilter and $__interval
//       └─▶ metricsql() ──▶ MetricsQL over the names that VictoriaMetrics makes of line protocol: MEASUREMENT_FIELD

import type * as cog from '@grafana/grafana-foundation-sdk/cog';
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';

/** The way in which the points of a step become one. */
export type Fold =
  /** The last value: gauges and states. */
  | 'last'
  | 'mean'
  | 'max'
  /** Growth per second of a counter. A reboot, which starts it at 0 again, does not count as a fall. */
  | 'rate'
  /** Growth of a counter in the step. */
  | 'growth'
  /** The last value of the whole range, one number. */
  | 'now';

/** One or more series of a panel. */
export interface Ask {
  /** In the legend, behind the name of the image. */
  legend: string;
  source: string;
  field: string;
  fold: Fold;
  /** Divides the value, for a unit that Grafana knows. */
  per?: number;
  /** Multiplies the value, likewise. */
  times?: number;
  /** Tags that distinguish series; only `vm` if not given. */
  by?: string[];
  /** Not filtered by the variable for images: for Telegraf's own sources. */
  ofAll?: boolean;
}

export interface Database {
  /** Part of the dashboard's name and of its file's name. */
  name: 'InfluxDB' | 'VictoriaMetrics';
  datasource: DataSourceRef & { uid: string };
  target(ask: Ask, refId: string): cog.Builder<cog.Dataquery>;
  /** The query that lists the values of the variable `vm`. */
  images: string;
}

function scaled(ask: Ask, value: string): string {
  if (ask.per !== undefined) return `${value} / ${ask.per}`;
  return ask.times === undefined ? value : `${value} * ${ask.times}`;
}

function tags(ask: Ask): string[] {
  return ask.by ?? ['vm'];
}

/** The legend: the values of the tags, then the ask's legend. */
function words(ask: Ask, value: (tag: string) => string): string {
  return [...tags(ask).map(value), ask.legend].filter((word) => word !== '').join(' ');
}

/** Builds a query from text, for panels that no {@link Ask} describes. */
export function raw(query: string, refId: string, alias: string, table = false): cog.Builder<cog.Dataquery> {
  // The SDK has no type for InfluxDB's queries: these are the fields of Grafana's own InfluxQuery.
  const built = { refId, query, rawQuery: true, resultFormat: table ? 'table' : 'time_series', alias };
  return { build: () => built as unknown as cog.Dataquery };
}

function influxql(ask: Ask): string {
  const field = `"${ask.field}"`;
  const value = {
    last: `last(${field})`,
    mean: `mean(${field})`,
    max: `max(${field})`,
    rate: `non_negative_derivative(last(${field}), 1s)`,
    growth: `non_negative_difference(last(${field}))`,
    now: `last(${field})`,
  }[ask.fold];
  const where = ask.ofAll
    ? tags(ask).map((tag) => `"${tag}" != '' AND `).join('')
    : '"vm" =~ /^$vm$/ AND ';
  const by = tags(ask).map((tag) => `"${tag}"`);
  const steps = ask.fold === 'now' ? [] : ['time($__interval)'];
  const groups = [...steps, ...by];
  const group = groups.length ? ` GROUP BY ${groups.join(', ')}` : '';
  // A single number has no steps to fill.
  const fill = ask.fold === 'now' ? '' : ' fill(null)';
  return `SELECT ${scaled(ask, value)} FROM "${ask.source}" WHERE ${where}$timeFilter${group}${fill}`;
}

/** Selects by the label of the name, because some measurements have a `-`, which is a minus in an expression. */
export function selector(source: string, field: string, filters: string[]): string {
  return `{${[`__name__="${source}_${field}"`, ...filters].join(',')}}`;
}

function metricsql(ask: Ask): string {
  const filters = ask.ofAll ? tags(ask).map((tag) => `${tag}!=""`) : ['vm=~"$vm"'];
  const series = selector(ask.source, ask.field, filters);
  const value = {
    last: series,
    mean: `avg_over_time(${series}[$__interval])`,
    max: `max_over_time(${series}[$__interval])`,
    rate: `rate(${series}[$__rate_interval])`,
    growth: `increase(${series}[$__interval])`,
    now: series,
  }[ask.fold];
  return scaled(ask, value);
}

export const influxdb: Database = {
  name: 'InfluxDB',
  datasource: { type: 'influxdb', uid: 'hermit-influxdb' },
  target: (ask, refId) => raw(influxql(ask), refId, words(ask, (tag) => `$tag_${tag}`)),
  images: 'SHOW TAG VALUES FROM "uptime" WITH KEY = "vm"',
};

export const victoriametrics: Database = {
  name: 'VictoriaMetrics',
  datasource: { type: 'prometheus', uid: 'hermit-victoriametrics' },
  target: (ask, refId) => {
    const query = new prometheus.DataqueryBuilder()
      .refId(refId)
      .expr(metricsql(ask))
      .legendFormat(words(ask, (tag) => `{{${tag}}}`))
      .editorMode(prometheus.QueryEditorMode.Code);
    return ask.fold === 'now' ? query.instant() : query.range();
  },
  images: 'label_values(uptime_seconds, vm)',
};
