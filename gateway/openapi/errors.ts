import { errorTable, isReason, type Reason } from "../../proto/errors.ts";
import type { JsonObject } from "./api-part.ts";
import { schemaRef } from "./schema.ts";

/** What nobody gets as an answer: the caller is gone. */
const unanswered: ReadonlySet<Reason> = new Set(["CANCELED"]);

/** The name of the schema of errors under `#/components/schemas`. */
export const errorSchemaName = "Error";

interface ErrorRow {
  readonly reason: Reason;
  readonly status: number;
  readonly code: number;
  readonly isLater: boolean;
}

const rows: readonly ErrorRow[] = Object.keys(errorTable)
  .filter(isReason)
  .filter((reason) => !unanswered.has(reason))
  .map((reason) => {
    const { httpStatus, legacyCode, retry } = errorTable[reason];
    return { reason, status: httpStatus, code: legacyCode, isLater: retry !== "never" };
  });

/** The answers of the error table by their names under `#/components/responses`, one for each HTTP status. */
export function errorResponses(): Readonly<Record<string, JsonObject>> {
  return Object.fromEntries([...groupedByStatus(rows)].map(([status, group]) => [nameOf(status), responseFrom(group)]));
}

/**
 * The answers of one operation by HTTP status: those of the error table, and beside them those that its service has of its
 * own by error code.
 */
export function errorRefs(codeMap: ReadonlyMap<number, number>): Readonly<Record<string, JsonObject>> {
  const usual = rows.filter(({ code }) => !codeMap.has(code));
  const own = [...codeMap].map(([code, status]) => ({ status, code }));
  const refs = [...groupedByStatus(usual).keys()].map((status) => [
    String(status),
    { $ref: `#/components/responses/${nameOf(status)}` },
  ]);
  const inline = [...groupedByStatus(own)]
    // An error may come with the status of an answer, which is described already.
    .filter(([status]) => status !== 200)
    .map(([status, group]) => {
      const codes = group.map(({ code }) => code).join(", ");
      const others = usual.filter((row) => row.status === status).map(describe);
      const description = [`Codes ${codes}, as this service has it.`, ...others].join(" ");
      return [String(status), { description, content: errorContent }];
    });
  return Object.fromEntries([...refs, ...inline]);
}

function nameOf(status: number): string {
  return `Error${status}`;
}

function groupedByStatus<Row extends { readonly status: number }>(
  all: readonly Row[],
): ReadonlyMap<number, readonly Row[]> {
  return Map.groupBy(all, ({ status }) => status);
}

const errorContent = { "application/json": { schema: schemaRef(errorSchemaName) } };

function responseFrom(group: readonly ErrorRow[]): JsonObject {
  const examples = group.map(({ reason, code }) => [
    reason,
    { value: { header: { code, message: "...", sid: "ase0001000a@dx18f899208000a01882" } } },
  ]);
  const retry = {
    description: "Seconds after which trying again may help.",
    schema: { type: "integer", minimum: 1 },
  };
  return {
    description: group.map(describe).join(" "),
    ...(group.some(({ isLater }) => isLater) ? { headers: { "Retry-After": retry } } : {}),
    content: { "application/json": { ...errorContent["application/json"], examples: Object.fromEntries(examples) } },
  };
}

function describe({ reason, code }: ErrorRow): string {
  return `${reason} (${code}).`;
}
