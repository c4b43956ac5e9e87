import { expect, test } from "bun:test";
import { join } from "node:path";
import { errorTable } from "../proto/errors.ts";

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
