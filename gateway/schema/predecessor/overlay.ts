import { attributeTypesFrom, type CompiledService, compileService } from "../compile.ts";
import { type JsonSchema, schemaFromDialect } from "../dialect.ts";
import type { Check } from "./check.ts";
import { compileDialect } from "./compile-dialect.ts";
import { definitionFromFile, propertyOf } from "./definition-from-file.ts";
import type { Capability, SchemaFile } from "./schema-file.ts";

/** A schema file at work: checks and rewrites a whole request of the unified protocol. */
export interface CompiledSchemaFile {
  readonly file: SchemaFile;
  readonly capabilities: readonly Capability[];
  /** The JSON Schema that is nearest to what it says of requests, for documents. */
  readonly jsonSchema: JsonSchema;
  readonly check: Check;
  /** Whether checking may change what it is given. */
  readonly rewrites: boolean;
}

/** Gives a service as its schema file describes it, whatever its loaders tell; undefined while they have told nothing. */
export type Overlay = (told: CompiledService | undefined) => CompiledService;

/**
 * Compiles a schema file for a service with this id. What the overlay gives for a definition is kept until it is asked for
 * another, so that each is compiled once.
 *
 * @throws Error for a file whose names are out of bounds, or whose schema nests too deep.
 */
export function createOverlay(file: SchemaFile, id: string): Overlay {
  const { check, rewrites } = compileDialect(file.input, []);
  const jsonSchema = schemaFromDialect(file.input);
  const schemaFile: CompiledSchemaFile = { file, capabilities: file.capabilities, jsonSchema, check, rewrites };
  const outputTypes = new Map(
    file.capabilities.flatMap(({ accepts }) =>
      accepts.map(({ name }) => [name, attributeTypesFrom(propertyOf(file.output, "payload", name))] as const),
    ),
  );
  const compile = (told: CompiledService | undefined): CompiledService => ({
    ...compileService(definitionFromFile(file, id, told?.definition)),
    schemaFile,
    outputTypes,
  });
  let last = { told: undefined as CompiledService | undefined, compiled: compile(undefined) };
  return (told) => {
    if (told !== last.told) last = { told, compiled: compile(told) };
    return last.compiled;
  };
}
