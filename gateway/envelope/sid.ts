/** What the ids of one process have in common. */
export interface SidSourceOptions {
  readonly pid: number;
  /** Two letters that name the site. */
  readonly location: string;
  /** The IP address that the process listens on. */
  readonly address: string;
  readonly port: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Makes request ids of the predecessor's shape, 32 characters that its log tools take apart again: three letters of the
 * service, the process (4 hex digits of its lowest byte), a counter (4 hex digits), `@`, the site (2), the time in
 * milliseconds (11 hex digits), the last two bytes of the address (4 hex digits), the first two digits of the port, and
 * the version of the shape, `2`. Ids of one process differ for 65,536 requests in one millisecond.
 */
export function createSidSource(options: SidSourceOptions): (prefix: string) => string {
  const process = hex(options.pid & 0xff, 4);
  const site = `@${options.location.slice(0, 2).padEnd(2, "x")}`;
  const tail = `${lastBytesOf(options.address)}${String(options.port).slice(0, 2).padStart(2, "0")}2`;
  let counter = 0;
  return (prefix) => {
    counter = (counter + 1) & 0xffff;
    const start = prefix.length === 3 ? prefix : prefix.slice(0, 3).padEnd(3, "0");
    return start + process + hex(counter, 4) + site + hex(options.now(), 11) + tail;
  };
}

function hex(value: number, digits: number): string {
  return Math.trunc(value).toString(16).padStart(digits, "0").slice(-digits);
}

/** The last two bytes of an IPv4 or IPv6 address as four hex digits; zeros for a name. */
function lastBytesOf(address: string): string {
  const octets = /(?:^|[.:])(\d{1,3})\.(\d{1,3})$/.exec(address);
  if (octets !== null) return hex(Number(octets[1]), 2) + hex(Number(octets[2]), 2);
  const group = /:([\da-fA-F]{1,4})$/.exec(address);
  return (group?.[1] ?? "").toLowerCase().padStart(4, "0");
}
