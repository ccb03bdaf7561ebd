import { IANAZone } from 'luxon';

/** Minutes that a zone's clock is ahead of UTC, at a time in seconds since 1970, by luxon and not by the code under test. */
export function zoneOffsets(zone: string): (at: number) => number {
  const read = IANAZone.create(zone);
  return (at) => read.offset(at * 1000);
}
