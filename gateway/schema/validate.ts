import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, type PartDescription, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { maxPriority } from "../../proto/priority.ts";
import type { Envelope, LiftedPart } from "../types.ts";
import type { CompiledInput, CompiledOutput, CompiledService } from "./compile.ts";
import { isRecord } from "./dialect.ts";
import { errorFromMistakes, noteSchemaErrors, shown } from "./mistakes.ts";
import { validateBySchemaFile } from "./predecessor/validate-by-schema-file.ts";
import { resourceIdsFrom } from "./resource-ids.ts";
import { textFromValue } from "./text-from-value.ts";
import { nameApp, type Texts, textsFrom } from "./texts.ts";

/** How strictly an envelope is checked beside its service's definition. */
export interface ValidateOptions {
  /** Refuses a request whose header has no `app_id`. True unless told. */
  readonly requireAppId?: boolean;
  /** The request opens a session, so that its inputs may come later. False unless told. */
  readonly isOpening?: boolean;
}

/**
 * Checks an envelope against a service and makes the request that goes to a loader; nothing but this folder makes one. Values
 * become text, missing accepts the outputs' defaults, and parts stand in the definition's order. Every mistake is
 * looked for, in one message.
 *
 * @throws ServingError SCHEMA_VIOLATION, PAYLOAD_TOO_LARGE when size is all that is wrong, APP_ID_MISSING.
 */
export function validate(
  service: CompiledService,
  envelope: Envelope,
  sid: string,
  options: ValidateOptions = {},
): InferRequest {
  if (service.schemaFile !== undefined)
    return validateBySchemaFile(service, service.schemaFile, envelope, sid, options);
  const mistakes: string[] = [];
  const tooLarge: string[] = [];
  const headers = headersFrom(service, envelope, mistakes);
  const { parameters, expects } = parametersFrom(service, envelope, mistakes);
  // To a service that takes none, these members of the header are texts like any others.
  const named = service.definition.personalResources ? resourceIdsFrom(envelope.header, mistakes) : [];
  const resourceIds = [...new Set([...named, ...(envelope.resourceIds ?? [])])];
  const priority = priorityFrom(envelope, mistakes);
  const parts = partsFrom(service, envelope, options.isOpening ?? false, mistakes, tooLarge);
  assertNone(mistakes, tooLarge);
  nameApp(headers, options.requireAppId ?? true);
  // A literal of the generated type is what the library's own constructor makes, in a fraction of its time.
  return {
    $typeName: "athena.v1.InferRequest",
    service: service.id,
    version: service.version,
    sid,
    headers,
    parameters,
    expects,
    parts,
    resourceIds,
    priority,
  };
}

/**
 * Checks a later frame of a session against its service and gives its parts, in the definition's order. Only its payload
 * counts, and the status in its header: the rest was said when the session was opened.
 *
 * @throws ServingError SCHEMA_VIOLATION, or PAYLOAD_TOO_LARGE when size is all that is wrong.
 */
export function validateChunk(service: CompiledService, envelope: Envelope): Part[] {
  const mistakes: string[] = [];
  const tooLarge: string[] = [];
  if (!isStatus(envelope.header.status, envelope)) mistakes.push(statusMistake);
  const parts = partsFrom(service, envelope, true, mistakes, tooLarge);
  assertNone(mistakes, tooLarge);
  return parts;
}

function assertNone(mistakes: readonly string[], tooLarge: readonly string[]): void {
  if (mistakes.length > 0) throw errorFromMistakes("SCHEMA_VIOLATION", [...mistakes, ...tooLarge]);
  if (tooLarge.length > 0) throw errorFromMistakes("PAYLOAD_TOO_LARGE", tooLarge);
}

function priorityFrom({ priority = 0 }: Envelope, mistakes: string[]): number {
  if (Math.abs(priority) > maxPriority) {
    mistakes.push(`'priority' must be from -${maxPriority} to ${maxPriority}, got ${priority}`);
  }
  return priority;
}

function headersFrom(service: CompiledService, envelope: Envelope, mistakes: string[]): Texts {
  const { header, isText } = envelope;
  if (service.checkHeader === undefined) noteFlatHeaderMistakes(envelope, mistakes);
  else noteSchemaErrors(mistakes, "$.header", service.checkHeader(header, isText) ?? []);
  return textsFrom(service.rewriteHeader?.(header) ?? header, "$.header", mistakes);
}

/** What holds for a header that its service does not describe. */
function noteFlatHeaderMistakes(envelope: Envelope, mistakes: string[]): void {
  const { header } = envelope;
  for (const key in header) {
    const value = header[key];
    if (isRecord(value)) mistakes.push(`'$.header.${shown(key)}' type must be string, number, boolean or array`);
    else if (key === "status" && !isStatus(value, envelope)) mistakes.push(statusMistake);
  }
}

const statusMistake = "'$.header.status' must be one of [0, 1, 2, 3]";

function isStatus(value: unknown, { isText }: Envelope): boolean {
  if (value === undefined || value === null || value === 0 || value === 1 || value === 2 || value === 3) return true;
  return isText === true && typeof value === "string" && /^[0-3]?$/.test(value);
}

function parametersFrom(
  service: CompiledService,
  envelope: Envelope,
  mistakes: string[],
): { parameters: Texts; expects: PartDescription[] } {
  const asked = new Map<CompiledOutput, PartDescription>();
  const rest: Record<string, unknown> = {};
  const path = `$.parameter.${service.id}`;
  const given = parameterObject(service, envelope, mistakes);
  for (const key in given) {
    const output = service.outputByName.get(key);
    if (output !== undefined) noteAccept(output, given[key], `${path}.${key}`, asked, mistakes, envelope.isText);
    else if (key === "__proto__") mistakes.push(`'${path}.__proto__' unknown field`);
    else rest[key] = given[key];
  }
  const errors = service.checkParameters?.(rest, envelope.isText);
  if (errors !== undefined) noteSchemaErrors(mistakes, path, errors);
  return {
    parameters: textsFrom(service.rewriteParameters?.(rest) ?? rest, path, mistakes),
    expects: service.outputs.map((output) => asked.get(output) ?? output.expected),
  };
}

function parameterObject(
  service: CompiledService,
  envelope: Envelope,
  mistakes: string[],
): Readonly<Record<string, unknown>> {
  for (const key in envelope.parameter) {
    if (key !== service.id) mistakes.push(`'$.parameter.${shown(key)}' unknown field, expected '${service.id}'`);
  }
  const given = Object.hasOwn(envelope.parameter, service.id) ? envelope.parameter[service.id] : undefined;
  if (given === undefined || given === null) return {};
  if (isRecord(given)) return given;
  mistakes.push(`'$.parameter.${service.id}' type must be object`);
  return {};
}

/** An accept that is null asks for the defaults, as one that is missing does. */
function noteAccept(
  output: CompiledOutput,
  value: unknown,
  path: string,
  asked: Map<CompiledOutput, PartDescription>,
  mistakes: string[],
  isText?: boolean,
): void {
  if (value === null) return;
  if (!isRecord(value)) {
    mistakes.push(`'${path}' type must be object`);
    return;
  }
  noteSchemaErrors(mistakes, path, output.checkAttributes(value, isText) ?? []);
  const attributes: Texts = { ...output.expected.attributes };
  const wanted = output.rewriteAttributes?.(value) ?? value;
  for (const key in wanted) {
    if (key === "__proto__") mistakes.push(`'${path}.__proto__' unknown field`);
    else if (wanted[key] !== null) attributes[key] = textFromValue(wanted[key]);
  }
  asked.set(output, { ...output.expected, attributes });
}

/** In a session (`isPartial`) any input may be missing from a frame, and have no data in it. */
function partsFrom(
  service: CompiledService,
  { payload, isText }: Envelope,
  isPartial: boolean,
  mistakes: string[],
  tooLarge: string[],
): Part[] {
  for (const { name } of payload) {
    if (service.inputByName.has(name)) continue;
    const known = service.inputs.map((input) => input.name).join(", ");
    mistakes.push(`'$.payload.${shown(name)}' unknown field, must be one of [${known.slice(0, 200)}]`);
  }
  const parts: Part[] = [];
  for (const input of service.inputs) {
    const lifted = payload.find((part) => part.name === input.name);
    if (lifted !== undefined) {
      noteSchemaErrors(mistakes, `$.payload.${input.name}`, input.checkAttributes(lifted.attributes, isText) ?? []);
      noteDataMistakes(input, lifted, input.required && !isPartial, mistakes, tooLarge);
      parts.push(partFrom(input, lifted, mistakes));
    } else if (input.required && !isPartial) mistakes.push(`'$.payload.${input.name}' field is required`);
  }
  return parts;
}

function partFrom(input: CompiledInput, lifted: LiftedPart, mistakes: string[]): Part {
  return {
    $typeName: "athena.v1.Part",
    name: input.name,
    type: input.type,
    attributes: textsFrom(
      input.rewriteAttributes?.(lifted.attributes) ?? lifted.attributes,
      `$.payload.${input.name}`,
      mistakes,
    ),
    data: lifted.data,
  };
}

function noteDataMistakes(
  input: CompiledInput,
  lifted: LiftedPart,
  isRequired: boolean,
  mistakes: string[],
  tooLarge: string[],
): void {
  const { length } = lifted.data;
  if (lifted.type !== input.type && (isRequired || lifted.type !== PartType.UNSPECIFIED)) {
    const got = lifted.type === PartType.UNSPECIFIED ? "" : `; got '${PartType[lifted.type]?.toLowerCase()}'`;
    mistakes.push(`'$.payload.${input.name}.${input.member}' field is required${got}`);
  } else if (length === 0 && isRequired) {
    mistakes.push(`'$.payload.${input.name}.${input.member}' must not be empty`);
  } else if (length > input.maxBytes) {
    tooLarge.push(`'$.payload.${input.name}.${input.member}' must be at most ${input.maxBytes} bytes, got ${length}`);
  }
}
