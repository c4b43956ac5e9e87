import {
  create,
  createFileRegistry,
  type DescMessage,
  type DescService,
  type FileRegistry,
  fromBinary,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { type Any, anyPack, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** The suite's messages, by their names in its package. */
export interface Messages {
  readonly registry: FileRegistry;
  readonly service: DescService;
  describe(name: string): DescMessage;
  make(name: string, fields: Readonly<Record<string, unknown>>): Message;
  pack(message: Message): Any;
}

const packageName = "connectrpc.conformance.v1";

/** Reads the suite's messages from a file of descriptors. */
export async function readMessages(file: string): Promise<Messages> {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, await Bun.file(file).bytes()));
  const service = registry.getService(`${packageName}.ConformanceService`);
  if (service === undefined) throw new Error(`${file} has no ConformanceService`);
  const described = (typeName: string): DescMessage => {
    const description = registry.getMessage(typeName);
    if (description === undefined) throw new Error(`${file} has no message ${typeName}`);
    return description;
  };
  const describe = (name: string): DescMessage => described(`${packageName}.${name}`);
  return {
    registry,
    service,
    describe,
    // The suite itself finds fields that are not as its descriptors say.
    make: (name, fields) => create(describe(name), fields as MessageInitShape<DescMessage>),
    pack: (message) => anyPack(described(message.$typeName), message),
  };
}

/** A header or trailer as the suite's messages have it. */
export interface Header {
  readonly name: string;
  readonly value: readonly string[];
}

/** An error that a test wants. */
export interface WantedError {
  readonly code: number;
  readonly message?: string;
  readonly details: readonly Any[];
}

/** What a test wants of every kind of answer. */
interface Wanted {
  readonly responseHeaders: readonly Header[];
  readonly responseTrailers: readonly Header[];
  readonly responseDelayMs: number;
}

/** The one answer that a test wants. */
export interface UnaryDefinition extends Wanted {
  readonly response:
    | { readonly case: "responseData"; readonly value: Uint8Array }
    | { readonly case: "error"; readonly value: WantedError }
    | { readonly case: undefined };
}

/** The answers that a test wants, and perhaps an error behind them. */
export interface StreamDefinition extends Wanted {
  readonly responseData: readonly Uint8Array[];
  readonly error?: WantedError;
}

/** A request as far as the service looks at it. */
export interface ConformanceRequest<Definition> extends Message {
  readonly responseDefinition?: Definition;
  readonly fullDuplex?: boolean;
}

/** How the suite wants a server to be. */
export interface ServerRequest extends Message {
  readonly protocol: number;
  readonly httpVersion: number;
  readonly messageReceiveLimit: number;
}
