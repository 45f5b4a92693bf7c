// Which events carry usage, of all that any row knows: a stream or socket at an unknown path is read in the same way.
import type { Endpoint } from '../domain/endpoint.ts';
import { ENDPOINTS } from './endpoint-rows.ts';

export interface UsageReport {
  readonly event: string;
  /** Of the usage object in the event's JSON. A row may point deeper, at what is charged; the record keeps the object as reported. */
  readonly path: string;
  readonly isCumulative: boolean;
}

export function reportsOn(transport: Endpoint['transport']): ReadonlyMap<string, UsageReport> {
  const reports = new Map<string, UsageReport>();
  for (const row of ENDPOINTS) {
    if (row.transport !== transport) continue;
    for (const { event, path, cumulative } of row.streamUsage ?? []) {
      if (event === null) continue;
      const usageEnd = path.indexOf('usage') + 'usage'.length;
      reports.set(event, { event, path: path.slice(0, usageEnd), isCumulative: cumulative });
    }
  }
  return reports;
}
