import { z } from "zod";
import { ServingError } from "../../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../../proto/gen/athena/v1/inference_pb.ts";
import { createHttpClient, type HttpClient } from "../http-client.ts";
import type { RemoteProtocol, RemoteProtocolOptions } from "../protocol.ts";
import { unusableError } from "../server-error.ts";
import { binaryBody, type InferenceHead, jsonBody, jsonLengthHeader, tensorsFromBody } from "./http-body.ts";
import { describeModel, type RemoteModel } from "./model.ts";
import { oipParameters } from "./parameters.ts";
import { partsFromTensors, tensorsFromParts } from "./tensors.ts";

/** What the Open Inference Protocol over HTTP is told. */
export interface OipHttpOptions {
  /** Empty: the server chooses. */
  readonly modelVersion: string;
  /** How tensors travel; auto: in binary when the server's metadata has the extension. */
  readonly tensors: "auto" | "binary" | "json";
}

const tensorSchema = z.object({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.int()),
  parameters: z.object({ content_type: z.string().nullish() }).nullish(),
});
const serverMetadataSchema = z.object({ extensions: z.array(z.string()).nullish() });
const modelMetadataSchema = z.object({
  platform: z.string().nullish(),
  inputs: z.array(tensorSchema).nullish(),
  outputs: z.array(tensorSchema).nullish(),
});
const modelConfigSchema = z.object({
  max_batch_size: z.int().min(0).nullish(),
  input: z.array(z.object({ name: z.string(), optional: z.boolean().nullish() })).nullish(),
});

/** What a server's metadata says. */
interface Known {
  readonly model: RemoteModel;
  readonly isBinary: boolean;
}

/** Speaks the Open Inference Protocol over HTTP. */
export function createOipHttp(options: RemoteProtocolOptions & OipHttpOptions): RemoteProtocol {
  const { service, declared, tensors } = options;
  const http = createHttpClient(options);
  const version = options.modelVersion === "" ? "" : `/versions/${encodeURIComponent(options.modelVersion)}`;
  const path = `/v2/models/${encodeURIComponent(options.model)}${version}`;
  let known: Known | undefined;

  return {
    async probe(signal) {
      await askReady(service, http, path, signal);
    },
    async describe(signal) {
      const read = reader(service, http, signal);
      const { extensions } = await read("/v2", serverMetadataSchema);
      const metadata = await read(path, modelMetadataSchema);
      const hasConfig = extensions?.includes("model_configuration") ?? false;
      const config = hasConfig ? await read(`${path}/config`, modelConfigSchema) : {};
      const isBinary =
        tensors === "auto" ? (extensions?.includes("binary_tensor_data") ?? false) : tensors === "binary";
      known = { model: modelFrom(metadata, config), isBinary };
      return describeModel(known.model, false);
    },
    async infer(request, signal) {
      if (known === undefined) throw new ServingError("INTERNAL", "inference before the metadata is known");
      const { model, isBinary } = known;
      const head = headOf(request, oipParameters(request.parameters, declared.parameters ?? {}));
      const inputs = tensorsFromParts(request, model);
      const encoded = isBinary
        ? binaryBody(head, inputs)
        : jsonBody(head, inputs, (name) =>
            model.inputs.find((one) => one.name === name)?.isBase64 ? "base64" : "utf8",
          );
      const answer = await http({ method: "POST", path: `${path}/infer`, ...encoded, signal });
      const outputs = tensorsFromBody(service, await answer.bytes(), answer.headers.get(jsonLengthHeader));
      return { parts: partsFromTensors(service, outputs, request.expects), status: Status.ONCE };
    },
    stream() {
      throw new ServingError("UNSUPPORTED_OPERATION", `service '${service}' does not answer streams, only once-calls`);
    },
    close() {},
  };
}

/** The model's word counts: a server that has several may not be ready because of another. */
async function askReady(service: string, http: HttpClient, path: string, signal: AbortSignal): Promise<void> {
  const ask = async (probed: string): Promise<ServingError | undefined> => {
    try {
      await (await http({ method: "GET", path: probed, signal })).bytes();
      return undefined;
    } catch (thrown) {
      const error = ServingError.from(thrown);
      // Not ready is 400 with Triton, 503 with KServe.
      if (error.reason === "INVALID_INPUT" || error.reason === "SERVICE_BUSY") return error;
      throw error;
    }
  };
  const refusal = await ask(`${path}/ready`);
  if (refusal === undefined) return;
  const who = (await ask("/v2/health/ready")) === undefined ? "model" : "model server";
  throw new ServingError("SERVICE_NOT_READY", `the ${who} of service '${service}' is not ready`, { cause: refusal });
}

function reader(service: string, http: HttpClient, signal: AbortSignal) {
  return async <Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.output<Schema>> => {
    const answer = await http({ method: "GET", path, signal });
    const text = new TextDecoder().decode(await answer.bytes());
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw unusableError(service, "its metadata cannot be read", cause);
    }
  };
}

function modelFrom(
  { platform, inputs, outputs }: z.output<typeof modelMetadataSchema>,
  config: Partial<z.output<typeof modelConfigSchema>>,
): RemoteModel {
  const tensorFrom = ({ name, datatype, shape, parameters }: z.output<typeof tensorSchema>) => ({
    name,
    datatype,
    shape,
    required: config.input?.find((input) => input.name === name)?.optional !== true,
    isBase64: parameters?.content_type === "base64",
  });
  return {
    platform: platform ?? "",
    inputs: inputs?.map(tensorFrom) ?? [],
    outputs: outputs?.map(tensorFrom) ?? [],
    maxBatchRows: config.max_batch_size ?? 0,
  };
}

function headOf({ sid, expects }: InferRequest, parameters: InferenceHead["parameters"]): InferenceHead {
  return { id: sid, parameters, outputs: expects.map(({ name }) => name) };
}
