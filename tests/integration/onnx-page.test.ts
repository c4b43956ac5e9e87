import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { type Answer, post, startGateway, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";

const page = join(import.meta.dir, "../../docs/onnx-model.md");
const model = join(import.meta.dir, "../fixtures/models/perceptron.onnx");
let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  const [config = "", batched = "", classifier = ""] = await blocksOf(page, "yaml");
  const [processor = ""] = await blocksOf(page, "ts");
  folder = await mkdtemp(join(tmpdir(), "athena-page-"));
  for (const name of ["models", "batched", "classifier"]) {
    await mkdir(join(folder, name));
    await cp(model, join(folder, name, "perceptron.onnx"));
  }
  await writeFile(join(folder, "batched/service.yaml"), batched.replace("id: perceptron", "id: batched"));
  await writeFile(join(folder, "classifier/service.yaml"), classifier);
  await writeFile(join(folder, "classifier/processor.ts"), processor);
  const services = "models/perceptron.onnx, batched, classifier".replaceAll(/[^, ]+/g, (path) => join(folder, path));
  loader = await startServiceProcess({
    main: "loader/main.ts",
    config: `${config.replace("5090", "0").replace("models/perceptron.onnx", services)}\nadmin: { port: 0 }\n`,
  });
  await waitUntilReady(loader, ["perceptron", "batched", "classifier"]);
  gateway = await startGateway(
    ["perceptron", "batched", "classifier"].map((id) => ({ id, endpoints: [urlOf(loader)] })),
  );
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true });
});

async function ask(service: string, body: string): Promise<Answer> {
  return (await post(`${urlOf(gateway)}/${service}`, body)).body;
}

test("the page's request is answered by the model, with batching as the page sets it up or without", async () => {
  const [command = ""] = await blocksOf(page, "sh");
  const body = /-d '([^']+)'/.exec(command)?.[1] ?? "";
  const answer = await ask("perceptron", body);
  expect(answer.payload?.y).toMatchObject({ datatype: "FP32", shape: "[1,4]" });
  expect(await ask("batched", body)).toMatchObject({ payload: { y: { other: answer.payload?.y?.other } } });
});

test("the page's module reads a text and gives the model's choice", async () => {
  const text = (value: string): string => Buffer.from(value).toString("base64");
  const request = (value: string): string =>
    JSON.stringify({ header: { app_id: "1" }, payload: { text: { text: text(value) } } });
  const answer = await ask("classifier", request("1 1 1 1 1 1 1 1"));
  expect(answer.payload?.result?.text).toEqual({ best: expect.any(Number) });
  expect((await ask("classifier", request("1 2"))).header.message).toBe("payload.text must be eight numbers");
});
