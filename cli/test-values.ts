import { type Part, PartType } from "../proto/gen/athena/v1/part_pb.ts";
import type { InputDefinition, ServiceDefinition } from "../proto/gen/athena/v1/service_pb.ts";
import { partFromTensor } from "../proto/tensor.ts";
import { exampleTensor } from "./example-tensor.ts";
import { CommandFailure } from "./failure.ts";
import { valuesFromSchema } from "./schema-values.ts";

type Values = Readonly<Record<string, unknown>>;

/** What a service is called with to see it work, from its own definition. Values are as JSON has them. */
export interface TestValues {
  readonly inputs: readonly TestInput[];
  readonly parameters: Values;
  readonly header: Values;
}

/** The data of one input. */
export interface TestInput {
  readonly name: string;
  readonly type: PartType;
  readonly attributes: Values;
  readonly data: Uint8Array;
}

/** What a text without an example is. */
const anyText = new TextEncoder().encode("hello");

/**
 * Collects a service's test values: the examples of its inputs, the examples or defaults of its parameters. Without an example
 * a tensor is made up, a text is "hello", and anything else is left out where it need not be there.
 *
 * @throws CommandFailure that names what has neither an example nor a default.
 */
export function testValuesFrom(definition: ServiceDefinition): TestValues {
  return {
    inputs: definition.inputs.flatMap((input) => inputFrom(input) ?? []),
    parameters: valuesFromSchema(definition.parametersSchema, "parameters", "known"),
    header: { app_id: "123456", ...valuesFromSchema(definition.headerSchema, "header", "required") },
  };
}

/** Values as the texts that a loader takes. */
export function textsFrom(values: Values): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  );
}

/** An input as the part that a loader takes. */
export function partFrom({ name, type, attributes, data }: TestInput): Part {
  return { $typeName: "athena.v1.Part", name, type, attributes: textsFrom(attributes), data };
}

/** A request of the unified protocol that sends a service its test values, as JSON. */
export function envelopeFrom(service: string, { header, parameters, inputs }: TestValues): string {
  const streams = inputs.map(({ name, type, attributes, data }) => {
    const member = (PartType[type] ?? "other").toLowerCase();
    return [name, { ...attributes, [member]: data.toBase64() }];
  });
  return JSON.stringify({
    header,
    ...(Object.keys(parameters).length === 0 ? {} : { parameter: { [service]: parameters } }),
    payload: Object.fromEntries(streams),
  });
}

function inputFrom({
  name,
  type,
  example,
  tensor,
  required,
  attributesSchema,
}: InputDefinition): TestInput | undefined {
  if (tensor !== undefined && example.length === 0) return partFromTensor(name, exampleTensor(tensor));
  const data = example.length === 0 && type === PartType.TEXT ? anyText : example;
  if (data.length === 0 && !required) return undefined;
  if (data.length === 0) {
    throw new CommandFailure(`input '${name}' has no example: give it one in service.yaml, as inputs.${name}.example`);
  }
  const attributes = valuesFromSchema(attributesSchema, `inputs.${name}.attributes`, "required");
  return { name, type, attributes, data };
}
