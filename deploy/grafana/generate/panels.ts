// The rows and panels of the dashboards. docs/METRICS.md has the meaning of each field; a description here says what to look for.

import * as units from '@grafana/grafana-foundation-sdk/units';

import type { Ask, Fold } from './database';

export interface Chart {
  title: string;
  description: string;
  unit: string;
  asks: Ask[];
  /** One number for each image instead of a chart. */
  stat?: boolean;
  /** Bars from zero: for counts of rare events. */
  bars?: boolean;
  /** Values below 0 are shown, too. */
  signed?: boolean;
  /** The top of the axis, if there is one. */
  max?: number;
  /** The width; a whole row is 24. */
  span?: number;
}

export interface Row {
  title: string;
  charts: Chart[];
}

const LINES_PER_SECOND = 'suffix: lines/s';
const POINTS_PER_SECOND = 'suffix: points/s';
const INTERRUPTS_PER_SECOND = 'suffix: interrupts/s';

/** Asks for fields of one source, given as names and legends, all with the same fold. */
function of(source: string, fold: Fold, fields: Record<string, string>, more: Partial<Ask> = {}): Ask[] {
  return Object.entries(fields).map(([field, legend]) => ({ source, field, fold, legend, ...more }));
}

const now: Row = {
  title: 'Now',
  charts: [
    {
      title: 'Uptime',
      description: 'Time since boot, from the last line of each image. An image that stopped keeps its last value while that is in the time range (VictoriaMetrics: for five minutes).',
      unit: units.Seconds,
      stat: true,
      span: 6,
      asks: of('uptime', 'now', { seconds: '' }),
    },
    {
      title: 'Heap in use',
      description: 'Bytes that the application holds now. The chart below shows the size of the heap.',
      unit: units.BytesIEC,
      stat: true,
      span: 6,
      asks: of('memory', 'now', { live_bytes: '' }),
    },
    {
      title: 'Lines lost',
      description: 'Metrics lines that the image knows to be lost since boot. If it is not 0, the charts below have holes.',
      unit: units.Short,
      stat: true,
      span: 6,
      asks: of('monitoring', 'now', { lines_lost: '' }),
    },
    {
      title: 'Errors logged',
      description: 'Lines at the level error since boot.',
      unit: units.Short,
      stat: true,
      span: 6,
      asks: of('log', 'now', { errors: '' }),
    },
  ],
};

const heap: Row = {
  title: 'Heap',
  charts: [
    {
      title: 'Heap',
      description: 'Bytes that the application holds, the most it ever held, and the size of the heap. If the bytes held only rise, there is a leak.',
      unit: units.BytesIEC,
      asks: of('memory', 'last', { live_bytes: 'live', peak_live_bytes: 'peak', heap_size_bytes: 'size' }),
    },
    {
      title: 'Allocation rate',
      description: 'Bytes allocated and freed per second. The heap grows by the difference.',
      unit: units.BytesPerSecondIEC,
      asks: of('memory', 'rate', { allocated_bytes: 'allocated', freed_bytes: 'freed' }),
    },
    {
      title: 'Allocations and frees',
      description: 'Calls per second. Each costs tens of nanoseconds.',
      unit: units.OpsPerSecond,
      asks: of('memory', 'rate', { allocations: 'allocations', frees: 'frees' }),
    },
    {
      title: 'Live blocks',
      description: 'Blocks allocated and not yet freed. If their number rises and the bytes do not, many small blocks are left over.',
      unit: units.Short,
      asks: of('memory', 'last', { live_blocks: 'blocks' }),
    },
    {
      title: 'Free memory',
      description: 'Bytes not in use, and the largest block that can still be allocated. The heap linked-list does not report the largest block.',
      unit: units.BytesIEC,
      asks: of('heap-free', 'last', { free_bytes: 'free', largest_block_bytes: 'largest block' }),
    },
    {
      title: 'Fragmentation',
      description: 'Share of the free bytes that is not in the largest block. The heap linked-list does not report it.',
      unit: units.PercentUnit,
      max: 1,
      asks: of('heap-free', 'last', { fragmentation_permille: 'fragmentation' }, { per: 1000 }),
    },
    {
      title: 'Refused allocations',
      description: 'Allocations that found no memory, per step. After most of them the application panics.',
      unit: units.Short,
      bars: true,
      asks: of('memory', 'growth', { failed_allocations: 'refused' }),
    },
  ],
};

const cpu: Row = {
  title: 'Processor and tasks',
  charts: [
    {
      title: 'Processor',
      description: 'Share of the time in which the core was busy. It is measured from halt to interrupt, not sampled.',
      unit: units.PercentUnit,
      max: 1,
      asks: of('cpu', 'mean', { busy_permille: 'busy' }, { per: 1000 }),
    },
    {
      title: 'Stacks',
      description: 'The most bytes of its stack that a task ever used, and the size of the stack. When a stack is used up, the image crashes.',
      unit: units.BytesIEC,
      asks: of('tasks', 'last', { stack_high_water_bytes: 'used at most', stack_bytes: 'size' }, { by: ['vm', 'task'] }),
    },
    {
      title: 'Interrupts',
      description: 'Interrupts per second: all, those of the timer, and those of the network card of the monitoring.',
      unit: INTERRUPTS_PER_SECOND,
      asks: of('irq', 'rate', { interrupts: 'all', timer: 'timer', card: 'card' }),
    },
  ],
};

const network: Row = {
  title: 'Network of the monitoring',
  charts: [
    {
      title: 'Traffic',
      description: 'Bytes of frames through the network card of the monitoring. The application has another card, which is not shown here.',
      unit: units.BytesPerSecondIEC,
      asks: of('net-virtio', 'rate', { received_bytes: 'received', transmitted_bytes: 'transmitted' }, { by: ['vm', 'interface'] }),
    },
    {
      title: 'Frames',
      description: 'Frames per second through the network card of the monitoring.',
      unit: units.PacketsPerSecond,
      asks: of('net-virtio', 'rate', { received_packets: 'received', transmitted_packets: 'transmitted' }, { by: ['vm', 'interface'] }),
    },
    {
      title: 'Connections',
      description: 'TCP connections of the monitoring: those of the control port and, with tcp://, the one to Telegraf.',
      unit: units.Short,
      asks: of('tcp', 'last', { established: 'established', opening: 'opening', closing: 'closing' }),
    },
  ],
};

const log: Row = {
  title: 'Log',
  charts: [
    {
      title: 'Log rate',
      description: 'Lines logged per second by level, whether or not their source is shown on the console.',
      unit: LINES_PER_SECOND,
      asks: of('log', 'rate', { errors: 'errors', warnings: 'warnings', infos: 'infos', debugs: 'debugs' }),
    },
  ],
};

const monitoring: Row = {
  title: 'The monitoring itself: its losses and its cost',
  charts: [
    {
      title: 'Losses',
      description: 'Per step: lines lost (all, those for which the queue was full, those too long for a datagram), lines in doubt because their connection broke, intervals without lines, frames dropped by the card, points without a place, values that the protocol cannot represent.',
      unit: units.Short,
      bars: true,
      asks: of('monitoring', 'growth', {
        lines_lost: 'lines lost',
        lines_lost_queue_full: 'queue full',
        lines_lost_too_long: 'too long',
        lines_in_doubt: 'lines in doubt',
        intervals_missed: 'intervals missed',
        frames_dropped: 'frames dropped',
        series_refused: 'points refused',
        values_left_out: 'values left out',
      }),
    },
    {
      title: 'Lines sent',
      description: 'Lines per second that left in a datagram or were acknowledged, and lines that were sent again because a connection broke.',
      unit: LINES_PER_SECOND,
      asks: of('monitoring', 'rate', { lines_sent: 'sent', lines_resent: 'sent again' }),
    },
    {
      title: 'Lines waiting',
      description: 'Lines that wait or are in flight. If the number rises, the receiver is away or too slow.',
      unit: units.Short,
      asks: of('monitoring', 'last', { lines_waiting: 'waiting' }),
    },
    {
      title: 'Turns of the loop',
      description: 'The time for which the monitoring task keeps the core in one turn: 99 % of the turns are shorter than the first value; the second is the longest turn of each interval.',
      unit: units.Microseconds,
      asks: of('monitoring', 'max', { turn_p99_us: '99 %', turn_max_us: 'longest' }),
    },
  ],
};

const clock: Row = {
  title: 'Clock',
  charts: [
    {
      title: 'Clock',
      description: 'The lead of the machine\'s real-time clock over the image\'s clock, within half a second. It steps when the machine was paused.',
      unit: units.Milliseconds,
      signed: true,
      asks: of('clock', 'last', { rtc_lead_ms: 'lead of the real-time clock' }),
    },
    {
      title: 'Clock moved forward',
      description: 'The time by which the image moved its wall clock forward since boot, because the machine had been paused.',
      unit: units.Milliseconds,
      asks: of('clock', 'last', { advanced_ms: 'moved forward' }),
    },
  ],
};

const telegraf: Row = {
  title: 'Telegraf',
  charts: [
    {
      title: 'Written',
      description: 'Points per second that Telegraf has written to the database.',
      unit: POINTS_PER_SECOND,
      asks: of('internal_write', 'rate', { metrics_written: 'written' }, { by: ['output'], ofAll: true }),
    },
    {
      title: 'Waiting in Telegraf',
      description: 'Points that Telegraf holds until the database accepts them. At metric_buffer_limit Telegraf drops the oldest.',
      unit: units.Short,
      asks: of('internal_write', 'last', { buffer_size: 'waiting' }, { by: ['output'], ofAll: true }),
    },
    {
      title: 'Lost in Telegraf',
      description: 'Per step: points that Telegraf dropped because its buffer was full, points that the database refused, and input that was not line protocol.',
      unit: units.Short,
      bars: true,
      asks: [
        ...of('internal_write', 'growth', { metrics_dropped: 'dropped', metrics_rejected: 'refused' }, { by: ['output'], ofAll: true }),
        ...of('internal_agent', 'growth', { gather_errors: 'not understood' }, { by: [], ofAll: true }),
      ],
    },
  ],
};

export const rows: Row[] = [now, heap, cpu, network, log, monitoring, clock, telegraf];
