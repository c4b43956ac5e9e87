import { create } from "@bufbuild/protobuf";
import { env } from "onnxruntime-node";
import { ServingError } from "../../../../../proto/errors.ts";
import type { InferRequest } from "../../../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../../../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../../../../../proto/gen/athena/v1/service_pb.ts";
import { partFromTensor, type Tensor, tensorFromPart } from "../../../../../proto/tensor.ts";
import type { CreateOnnxProcessor } from "../../processor.ts";
import { type Model, modelFromSession, type TensorSpec } from "./model.ts";
import { hasOpenRows, probeModel } from "./probe.ts";
import { joinAll, piecesOf, rowsOfAll, separate, type Tensors } from "./rows.ts";

/** Rows that are computed together when the service does not say. */
const defaultMaxBatchRows = 32;

/**
 * Serves a model as it is: its inputs and outputs are the service's, as tensors. Rows of several requests are computed
 * together where that is known to change nothing. Reads no options.
 */
export const createTensorProcessor: CreateOnnxProcessor = async (context, report) => {
  // What goes wrong is thrown as well: the runtime need not print it, in colour, to the process's standard error.
  env.logLevel = "fatal";
  report("loading the model");
  const session = await context.createSession();
  const model = modelFromSession(session);
  report("warming up the model");
  const maxBatchRows = await batchRowsOf(model, context.maxBatchRows, report);
  const compute = (tensors: Tensors): Promise<Tensors> => computeInPieces(model, tensors, maxBatchRows);
  const infer = async (request: InferRequest): Promise<Part[]> =>
    partsFrom(request, await compute(tensorsFrom(model, request)));
  return {
    description: create(ServiceDefinitionSchema, {
      inputs: model.inputs.map((spec) => ({ ...streamFrom(spec), required: true })),
      outputs: model.outputs.map(streamFrom),
      once: true,
      platform: "onnxruntime_onnx",
      maxBatchRows,
    }),
    infer,
    async inferBatch(requests) {
      try {
        const answers = await computeTogether(
          requests.map((request) => tensorsFrom(model, request)),
          compute,
        );
        return answers.map((tensors, index) => ({ status: "fulfilled", value: partsFrom(requests[index], tensors) }));
      } catch {
        // One of them is bad: alone each gets its own answer or its own error.
        return settleInTurn(requests, infer);
      }
    },
    release: () => session.release(),
  };
};

/** How many rows are computed together, 0 for a model whose rows are not to be. */
async function batchRowsOf(
  model: Model,
  asked: number | undefined,
  report: (progress: string) => void,
): Promise<number> {
  const { ran, isRowwise } = await probeModel(model);
  if (!ran) report("the model could not be warmed up: no input was found that it takes");
  if (asked === 0 || asked === 1) return 0;
  if (!hasOpenRows(model)) {
    if (asked === undefined) return 0;
    throw new ServingError("SERVICE_NOT_READY", "batching.maxRows: the model's first dimension is not of any size");
  }
  if (isRowwise === true) return asked ?? defaultMaxBatchRows;
  if (asked !== undefined) {
    if (isRowwise === false) report("batching: rows that are computed together differ from those computed alone");
    return asked;
  }
  if (isRowwise === undefined) report("batching is off: set batching.maxRows if the model's rows are independent");
  return 0;
}

function streamFrom({ name, datatype, shape }: TensorSpec) {
  return { name, type: PartType.OTHER, tensor: { datatype, shape: shape.map(BigInt) } };
}

/** Throws ServingError INVALID_INPUT, naming the part. */
function tensorsFrom({ inputs }: Model, { parts }: InferRequest): Tensors {
  const tensors: Record<string, Tensor> = {};
  for (const spec of inputs) {
    const part = parts.find(({ name }) => name === spec.name);
    if (part === undefined) throw new ServingError("INVALID_INPUT", `payload.${spec.name} is missing`);
    tensors[spec.name] = tensorFromPart(part, spec);
  }
  return tensors;
}

function partsFrom(request: InferRequest | undefined, tensors: Tensors): Part[] {
  const expects = request?.expects ?? [];
  const isExpected = (name: string): boolean => expects.length === 0 || expects.some((one) => one.name === name);
  return Object.entries(tensors)
    .filter(([name]) => isExpected(name))
    .map(([name, tensor]) => partFromTensor(name, tensor));
}

/** A request with more rows than are computed at once is computed piece by piece. */
async function computeInPieces(model: Model, tensors: Tensors, maxRows: number): Promise<Tensors> {
  if (maxRows === 0 || rowsOfAll(tensors) <= maxRows) return model.run(tensors);
  const answers: Tensors[] = [];
  for (const piece of piecesOf(tensors, maxRows)) answers.push(await model.run(piece));
  return joinAll(answers);
}

/** The answers of several requests, from one run with the rows of all. */
async function computeTogether(
  requests: readonly Tensors[],
  compute: (tensors: Tensors) => Promise<Tensors>,
): Promise<Tensors[]> {
  const answer = await compute(joinAll(requests));
  return separate(answer, requests.map(rowsOfAll));
}

async function settleInTurn(
  requests: readonly InferRequest[],
  infer: (request: InferRequest) => Promise<Part[]>,
): Promise<PromiseSettledResult<Part[]>[]> {
  const outcomes: PromiseSettledResult<Part[]>[] = [];
  for (const request of requests) outcomes.push(...(await Promise.allSettled([infer(request)])));
  return outcomes;
}
