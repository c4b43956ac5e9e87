import { errorTable, isReason, type Reason } from "../../proto/errors.ts";
import type { JsonObject } from "./api-part.ts";
import { schemaRef } from "./schema.ts";

/** What nobody gets as an answer: the caller is gone. */
const unanswered: ReadonlySet<Reason> = new Set(["CANCELED"]);

/** How one protocol tells of errors. */
export interface ErrorForm {
  /** The name of the schema of its errors under `#/components/schemas`; the names of its answers begin with it. */
  readonly name: string;
  /** What a caller gets. */
  readonly example: (row: ErrorRow) => unknown;
  /** The HTTP status of a reason, where it is not the table's. */
  readonly statusOf?: (reason: Reason) => number;
}

/** The unified protocol's. */
export const unifiedErrors: ErrorForm = {
  name: "Error",
  example: ({ code }) => ({ header: { code, message: "...", sid: "ase0001000a@dx18f899208000a01882" } }),
};

/** One row of the table of errors. */
export interface ErrorRow {
  readonly reason: Reason;
  readonly status: number;
  readonly code: number;
  readonly isLater: boolean;
}

function rowsOf({ statusOf = (reason) => errorTable[reason].httpStatus }: ErrorForm): readonly ErrorRow[] {
  return Object.keys(errorTable)
    .filter(isReason)
    .filter((reason) => !unanswered.has(reason))
    .map((reason) => {
      const { legacyCode, retry } = errorTable[reason];
      return { reason, status: statusOf(reason), code: legacyCode, isLater: retry !== "never" };
    });
}

/** The answers of the error table by their names under `#/components/responses`, one for each HTTP status. */
export function errorResponses(form: ErrorForm): Readonly<Record<string, JsonObject>> {
  const groups = [...groupedByStatus(rowsOf(form))];
  return Object.fromEntries(groups.map(([status, group]) => [`${form.name}${status}`, responseFrom(form, group)]));
}

/**
 * The answers of one operation by HTTP status: those of the error table, and beside them those that its service has of its
 * own by error code.
 */
export function errorRefs(form: ErrorForm, codeMap: ReadonlyMap<number, number>): Readonly<Record<string, JsonObject>> {
  const usual = rowsOf(form).filter(({ code }) => !codeMap.has(code));
  const own = [...codeMap].map(([code, status]) => ({ status, code }));
  const refs = [...groupedByStatus(usual).keys()].map((status) => [String(status), refOf(form, status)]);
  const inline = [...groupedByStatus(own)]
    // An error may come with the status of an answer, which is described already.
    .filter(([status]) => status !== 200)
    .map(([status, group]) => {
      const codes = group.map(({ code }) => code).join(", ");
      const others = usual.filter((row) => row.status === status).map(describe);
      const description = [`Codes ${codes}, as this service has it.`, ...others].join(" ");
      return [String(status), { description, content: { "application/json": { schema: schemaRef(form.name) } } }];
    });
  return Object.fromEntries([...refs, ...inline]);
}

/** The answers of an operation that has some of the HTTP statuses alone. */
export function errorRefsFor(form: ErrorForm, statuses: readonly number[]): Readonly<Record<string, JsonObject>> {
  return Object.fromEntries(statuses.map((status) => [String(status), refOf(form, status)]));
}

function refOf({ name }: ErrorForm, status: number): JsonObject {
  return { $ref: `#/components/responses/${name}${status}` };
}

function groupedByStatus<Row extends { readonly status: number }>(
  all: readonly Row[],
): ReadonlyMap<number, readonly Row[]> {
  return Map.groupBy(all, ({ status }) => status);
}

function responseFrom(form: ErrorForm, group: readonly ErrorRow[]): JsonObject {
  const examples = Object.fromEntries(group.map((row) => [row.reason, { value: form.example(row) }]));
  const retry = {
    description: "Seconds after which trying again may help.",
    schema: { type: "integer", minimum: 1 },
  };
  return {
    description: group.map(describe).join(" "),
    ...(group.some(({ isLater }) => isLater) ? { headers: { "Retry-After": retry } } : {}),
    content: { "application/json": { schema: schemaRef(form.name), examples } },
  };
}

function describe({ reason, code }: ErrorRow): string {
  return `${reason} (${code}).`;
}
