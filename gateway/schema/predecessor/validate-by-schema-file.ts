import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, type PartDescription, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Envelope } from "../../types.ts";
import type { CompiledInput, CompiledOutput, CompiledService } from "../compile.ts";
import { errorFromMistakes } from "../mistakes.ts";
import { resourceIdsFrom } from "../resource-ids.ts";
import { textFromValue } from "../text-from-value.ts";
import { nameApp, type Texts, textsFrom } from "../texts.ts";
import type { ValidateOptions } from "../validate.ts";
import { createMistakeList } from "./mistake-list.ts";
import type { CompiledSchemaFile } from "./overlay.ts";
import { readTexts } from "./texts-as-values.ts";
import { copyOfObject, isObject } from "./value.ts";

type Section = Readonly<Record<string, unknown>>;

const nothing: Section = Object.freeze({});

/**
 * Checks an envelope against a schema file and makes the request that goes to a loader from what the file has made of it.
 * As the predecessor did, it drops payload streams and parameters that the file lets through but does not declare.
 *
 * @throws ServingError SCHEMA_VIOLATION, PAYLOAD_TOO_LARGE when size is all that is wrong, APP_ID_MISSING.
 */
export function validateBySchemaFile(
  service: CompiledService,
  schemaFile: CompiledSchemaFile,
  envelope: Envelope,
  sid: string,
  options: ValidateOptions,
): InferRequest {
  const isText = envelope.isText === true;
  const given = isText ? { ...envelope, parameter: underCapability(schemaFile, envelope.parameter) } : envelope;
  const document = documentFrom(given, schemaFile.rewrites || isText);
  if (isText) readTexts(schemaFile.file.input, document);
  const mistakes = createMistakeList();
  schemaFile.check(document, "$", mistakes);
  const header = sectionOf(document, "header");
  const headers = textsFrom(header, "$.header", mistakes.texts);
  const resourceIds = resourceIdsFrom(header, mistakes.texts);
  const parameters: Texts = {};
  const asked = new Map<CompiledOutput, PartDescription>();
  for (const { name } of schemaFile.capabilities) {
    const given = sectionOf(sectionOf(document, "parameter"), name);
    const { rest, accepts } = split(service, given);
    Object.assign(parameters, textsFrom(rest, `$.parameter.${name}`, mistakes.texts));
    for (const [output, value] of accepts) asked.set(output, expectedFrom(output, value));
  }
  const parts = partsFrom(service, sectionOf(document, "payload"), mistakes.texts);
  const { texts, tooLarge } = mistakes;
  if (texts.length > 0) throw errorFromMistakes("SCHEMA_VIOLATION", [...texts, ...tooLarge]);
  if (tooLarge.length > 0) throw errorFromMistakes("PAYLOAD_TOO_LARGE", tooLarge);
  nameApp(headers, options.requireAppId ?? true);
  return {
    $typeName: "athena.v1.InferRequest",
    service: service.id,
    version: service.version,
    sid,
    headers,
    parameters,
    expects: service.outputs.map((output) => asked.get(output) ?? output.expected),
    parts,
    resourceIds,
    priority: 0,
  };
}

/** A message has one set of parameters, which came under the service's id. */
function underCapability({ capabilities }: CompiledSchemaFile, parameter: Section): Section {
  const [first] = capabilities;
  const [values] = Object.values(parameter);
  const isNamed = capabilities.some(({ name }) => Object.hasOwn(parameter, name));
  return first === undefined || values === undefined || isNamed ? parameter : { [first.name]: values };
}

/** The envelope as one value, in which a section that is empty is missing, as it was for the predecessor. */
function documentFrom({ header, parameter, payload }: Envelope, isCopy: boolean): Record<string, unknown> {
  const streams: Record<string, unknown> = {};
  for (const { name, type, data, attributes } of payload) {
    const stream: Record<string, unknown> = isCopy ? copyOfObject(attributes) : { ...attributes };
    if (type !== PartType.UNSPECIFIED) stream[memberFromType(type)] = data;
    if (name !== "__proto__") streams[name] = stream;
  }
  const document: Record<string, unknown> = {};
  for (const [name, section] of [
    ["header", header],
    ["parameter", parameter],
  ] as const) {
    if (hasMembers(section)) document[name] = isCopy ? copyOfObject(section) : section;
  }
  if (payload.length > 0) document.payload = streams;
  return document;
}

function hasMembers(section: Section): boolean {
  for (const _ in section) return true;
  return false;
}

function memberFromType(type: PartType): string {
  return (PartType[type] ?? "other").toLowerCase();
}

function sectionOf(value: Section, name: string): Section {
  const section = Object.hasOwn(value, name) ? value[name] : undefined;
  return isObject(section) ? section : nothing;
}

/** What the caller wishes of outputs, and the parameters beside that. */
function split(service: CompiledService, given: Section) {
  const rest: Record<string, unknown> = {};
  const accepts: [CompiledOutput, Section][] = [];
  for (const key in given) {
    const output = service.outputByName.get(key);
    const value = given[key];
    if (output === undefined) Object.defineProperty(rest, key, { value, enumerable: true });
    else if (isObject(value)) accepts.push([output, value]);
  }
  return { rest, accepts };
}

function expectedFrom({ expected }: CompiledOutput, asked: Section): PartDescription {
  const attributes: Texts = { ...expected.attributes };
  for (const key in asked) {
    const value = asked[key];
    if (value !== null && key !== "__proto__") attributes[key] = textFromValue(value);
  }
  return { ...expected, attributes };
}

function partsFrom(service: CompiledService, payload: Section, mistakes: string[]): Part[] {
  const parts: Part[] = [];
  for (const input of service.inputs) {
    if (!isObject(payload[input.name]) || !Object.hasOwn(payload, input.name)) continue;
    parts.push(partFrom(input, sectionOf(payload, input.name), mistakes));
  }
  return parts;
}

function partFrom(input: CompiledInput, stream: Section, mistakes: string[]): Part {
  const path = `$.payload.${input.name}`;
  const attributes = textsFrom(stream, path, mistakes);
  delete attributes[input.member];
  const data = bytesFrom(stream[input.member]);
  if (data === undefined) mistakes.push(`'${path}.${input.member}' must be standard base64`);
  return {
    $typeName: "athena.v1.Part",
    name: input.name,
    type: input.type,
    attributes,
    data: data ?? new Uint8Array(),
  };
}

/** The data of a stream; what a schema has put in its place is read as if the caller had written it. */
function bytesFrom(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (value === undefined || value === null) return new Uint8Array();
  if (typeof value !== "string") return new TextEncoder().encode(JSON.stringify(value));
  try {
    return Uint8Array.fromBase64(value, { alphabet: "base64", lastChunkHandling: "strict" });
  } catch {
    return undefined;
  }
}
