// Writes the dashboards: node out/main.js FOLDER

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as cog from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import * as units from '@grafana/grafana-foundation-sdk/units';

import { influxdb, raw, selector, victoriametrics, type Database } from './database';
import { rows, type Chart } from './panels';

/** Points further apart than this (ms) are not joined: six of the default intervals. */
const GAP = 60_000;

function letter(index: number): string {
  return String.fromCharCode('A'.charCodeAt(0) + index);
}

function statPanel(chart: Chart, id: number, database: Database): cog.Builder<dashboard.Panel> {
  const panel = new stat.PanelBuilder()
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.None)
    .textMode(common.BigValueTextMode.ValueAndName)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .height(5);
  return shared(panel, chart, id, database);
}

function timePanel(chart: Chart, id: number, database: Database): cog.Builder<dashboard.Panel> {
  const panel = new timeseries.PanelBuilder()
    .drawStyle(chart.bars ? common.GraphDrawStyle.Bars : common.GraphDrawStyle.Line)
    .fillOpacity(chart.bars ? 80 : 5)
    .spanNulls(GAP)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending))
    .height(8);
  if (!chart.signed) panel.min(0);
  if (chart.max !== undefined) panel.max(chart.max);
  return shared(panel, chart, id, database);
}

function shared<P extends stat.PanelBuilder | timeseries.PanelBuilder>(panel: P, chart: Chart, id: number, database: Database): P {
  panel
    .id(id)
    .title(chart.title)
    .description(chart.description)
    .unit(chart.unit)
    .datasource(database.datasource)
    .span(chart.span ?? 8)
    .targets(chart.asks.map((ask, index) => database.target(ask, letter(index))));
  return panel;
}

/** The text fields, which VictoriaMetrics does not keep. */
function versions(id: number): table.PanelBuilder {
  const query =
    'SELECT last("version") AS "application", last("kernel") AS "kernel" FROM "uptime" WHERE "vm" =~ /^$vm$/ AND $timeFilter GROUP BY "vm"';
  return new table.PanelBuilder()
    .id(id)
    .title('Versions')
    .description('The versions that each image was built from, from its last line.')
    .unit(units.String)
    .datasource(influxdb.datasource)
    .height(5)
    .span(24)
    .withTarget(raw(query, 'A', '', true));
}

/** A mark where an image was booted. */
function boots(database: Database): dashboard.AnnotationQueryBuilder[] {
  const annotation = (name: string) =>
    new dashboard.AnnotationQueryBuilder().name(name).enable(true).iconColor('blue').datasource(database.datasource);
  if (database === victoriametrics) {
    // The value is the time of the boot. The same value again is the same mark.
    const expr = `${selector('uptime', 'boot_time_s', ['vm=~"$vm"'])} * 1000`;
    const target = new prometheus.DataqueryBuilder().refId('Anno').expr(expr).range();
    return [annotation('Boots').expr(expr).target(target).step('60s').titleFormat('boot of {{vm}}').tagKeys('vm').useValueForTime(true)];
  }
  // InfluxQL has no such switch: the mark stands at an image's first line after the boot. The first line in the range has no line
  // before it to compare with, so it counts as the first after a boot if the image is young.
  const asked = (query: string) => ({
    build: () =>
      ({
        ...raw(query, 'Anno', '').build(),
        fromAnnotations: true,
        textEditor: true,
        textColumn: 'vm',
        tagsColumn: 'vm',
        titleColumn: '',
        timeEndColumn: '',
      }) as unknown as cog.Dataquery,
  });
  const images = '"vm" =~ /^$vm$/ AND $timeFilter';
  return [
    annotation('Boots').target(
      asked(
        `SELECT "later", "vm" FROM (SELECT difference("boot_time_s") AS "later" FROM "uptime" WHERE ${images} GROUP BY "vm") WHERE "later" != 0`,
      ),
    ),
    annotation('First boots').target(
      asked(`SELECT "age", "vm" FROM (SELECT first("seconds") AS "age" FROM "uptime" WHERE ${images} AND "seconds" < 60 GROUP BY "vm")`),
    ),
  ];
}

function build(database: Database): dashboard.Dashboard {
  const images = new dashboard.QueryVariableBuilder('vm')
    .label('image')
    .description('The value of --vm')
    .datasource(database.datasource)
    .query(database.images)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.+')
    .current({ selected: true, text: ['All'], value: ['$__all'] });
  const out = new dashboard.DashboardBuilder(`Hermit images (${database.name})`)
    .uid(`hermit-images-${database.name.toLowerCase()}`)
    .description('Hermit unikernels that monitor themselves. Generated: deploy/grafana/generate.')
    .tags(['hermit'])
    .time({ from: 'now-1h', to: 'now' })
    .refresh('10s')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .withVariable(images);
  for (const annotation of boots(database)) out.annotation(annotation);
  let id = 0;
  for (const row of rows) {
    out.withRow(new dashboard.RowBuilder(row.title).id(++id));
    for (const chart of row.charts) {
      out.withPanel(chart.stat ? statPanel(chart, ++id, database) : timePanel(chart, ++id, database));
    }
    if (row === rows[0] && database === influxdb) out.withPanel(versions(++id));
  }
  return out.build();
}

const folder = process.argv[2];
if (folder === undefined) {
  console.error('usage: main.js FOLDER');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
for (const database of [influxdb, victoriametrics]) {
  writeFileSync(join(folder, `hermit-${database.name.toLowerCase()}.json`), `${JSON.stringify(build(database), null, 2)}\n`);
}
