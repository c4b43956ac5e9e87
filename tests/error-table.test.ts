import { expect, test } from "bun:test";
import { join } from "node:path";
import { errorTable, type Reason } from "../proto/errors.ts";

test("the protocol's page lists every reason with the status and the code that callers get", async () => {
  const page = await Bun.file(join(import.meta.dir, "../docs/unified-protocol.md")).text();
  const rows = [...page.matchAll(/^\| ([A-Z_]+) +\| (\d+) +\| (\d+) +\| (\w+) +\|$/gm)].map((row) => row.slice(1));
  const expected = Object.entries(errorTable).map(([reason, error]) => [
    reason,
    String(error.httpStatus),
    String(error.legacyCode),
    error.retry,
  ]);
  expect(rows).toEqual(expected);
});

/** Codes of the predecessor's that its clients branch on, and the reasons that have them here. */
const promised: Readonly<Record<number, readonly Reason[]>> = {
  10003: ["UNSUPPORTED_OPERATION"],
  10008: ["SESSION_NOT_FOUND"],
  10009: ["INVALID_INPUT"],
  10101: ["CANCELED"],
  10102: ["DEADLINE_EXCEEDED"],
  10106: ["OUTPUT_UNEXPECTED"],
  10109: ["ENGINE_CRASHED"],
  10110: ["RATE_LIMITED", "GATEWAY_BUSY", "SERVICE_BUSY"],
  10114: ["SESSION_TIMEOUT"],
  10163: ["MALFORMED_ENVELOPE", "SCHEMA_VIOLATION", "UNSUPPORTED_MEDIA_TYPE", "PAYLOAD_TOO_LARGE"],
  10221: ["ENDPOINT_UNREACHABLE"],
  10222: ["ENDPOINT_LOST"],
  10223: ["SERVICE_NOT_READY", "DRAINING"],
  10225: ["NO_ENDPOINT"],
  10313: ["APP_ID_MISSING", "APP_ID_MISMATCH", "UNAUTHENTICATED", "PERMISSION_DENIED"],
  10404: ["SERVICE_NOT_FOUND", "CATEGORY_UNMATCHED", "METHOD_NOT_ALLOWED"],
  10701: ["RESOURCE_NOT_FOUND"],
  10909: ["ENGINE_FAILED"],
  11502: ["ADMISSION_UNAVAILABLE", "INTERNAL"],
};

/** From where to where the predecessor's other codes go: of its loader, its webgate, its broker's client, its Python SDK. */
const others: readonly (readonly [number, number])[] = [
  ...([
    [10000, 10002],
    [10004, 10004],
    [10010, 10013],
    [10019, 10019],
    [10031, 10031],
    [10041, 10044],
  ] as const),
  ...([
    [10103, 10105],
    [10107, 10107],
    [10118, 10118],
    [10139, 10141],
    [10160, 10161],
    [10164, 10165],
  ] as const),
  ...([
    [10200, 10200],
    [10202, 10202],
    [10224, 10224],
    [10226, 10226],
    [10240, 10240],
    [10250, 10250],
  ] as const),
  ...([
    [10300, 10301],
    [10324, 10324],
    [10400, 10403],
    [10405, 10406],
    [10600, 10600],
    [10702, 10702],
  ] as const),
  ...([
    [10901, 10908],
    [10910, 10910],
    [11345, 11345],
    [11503, 11503],
    [12000, 12000],
    [20001, 20002],
  ] as const),
  [30001, 30003],
];

test("the predecessor's codes mean here what they meant there", () => {
  const reasons = Object.groupBy(Object.entries(errorTable), ([, { legacyCode }]) => legacyCode);
  const actual = Object.entries(reasons).map(([code, rows]) => [code, rows?.map(([reason]) => reason)]);
  expect(Object.fromEntries(actual)).toEqual(promised);
});

test("the page of differences tells what became of every other code", async () => {
  const page = await Bun.file(join(import.meta.dir, "../docs/compatibility.md")).text();
  const [, table = ""] = page.split("Codes that have another number here, or none:");
  const told = new Set<number>();
  for (const [, codes = ""] of table.split("\n## ", 1)[0]?.matchAll(/^\| (\d[^(|]*)/gm) ?? []) {
    for (const [, first, last = first] of codes.matchAll(/(\d{5})(?: to (\d{5}))?/g)) {
      for (let code = Number(first); code <= Number(last); code += 1) told.add(code);
    }
  }
  const untold = others.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index).filter((code) => !told.has(code)),
  );
  expect(untold).toEqual([]);
});
