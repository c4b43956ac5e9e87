import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { InputDefinition, OutputDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import type { EngineDescription } from "./engine.ts";

/** The parts that service.yaml declares, where it does. */
export interface DeclaredParts {
  readonly inputs?: Readonly<Record<string, { readonly type: string }>> | undefined;
  readonly outputs?: Readonly<Record<string, { readonly type: string }>> | undefined;
}

/**
 * Checks what service.yaml declares against what a model told: each name is there, and of a type that it can have. A
 * tensor is of the type `other`, or of any when it is one element of BYTES. What tells no inputs, or no outputs, leaves
 * them to service.yaml.
 *
 * @throws ServingError SERVICE_NOT_READY, naming the first that is wrong.
 */
export function assertDeclared(service: string, declared: DeclaredParts, told: EngineDescription): void {
  const refuse = (what: string): ServingError =>
    new ServingError("SERVICE_NOT_READY", `service '${service}': in service.yaml ${what}`);
  for (const key of ["inputs", "outputs"] as const) {
    if (told[key].length === 0) continue;
    for (const [name, { type }] of Object.entries(declared[key] ?? {})) {
      const known = told[key].find((one) => one.name === name);
      if (known === undefined) {
        throw refuse(`${key}.${name} is none of the model's, which has ${told[key].map((one) => one.name).join(", ")}`);
      }
      const problem = typeProblem(type, known);
      if (problem !== undefined) throw refuse(`${key}.${name} is of type ${type}, but the model's is ${problem}`);
    }
  }
  const { inputs } = declared;
  const missing = told.inputs.find(({ name, required }) => required && inputs !== undefined && !(name in inputs));
  if (missing !== undefined) throw refuse(`inputs lacks '${missing.name}', which the model needs`);
}

function typeProblem(type: string, { type: told, tensor }: InputDefinition | OutputDefinition): string | undefined {
  const toldType = PartType[told].toLowerCase();
  if (tensor === undefined) return type === toldType ? undefined : toldType;
  const isOneElement = tensor.datatype === "BYTES" && tensor.shape.every((size) => size === -1n || size === 1n);
  if (type === toldType || isOneElement) return undefined;
  return `a tensor of ${tensor.datatype} with the shape [${tensor.shape.join(", ")}]: only one element of BYTES can be a ${type}`;
}
