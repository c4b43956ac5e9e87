import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Arbitrary, assert, asyncProperty } from "fast-check";
import { addressOf, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { drawText } from "../fixtures/drawn-text.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { createMessageDialects } from "./dialects/messages.ts";
import { createOpenInferenceDialects } from "./dialects/open-inference.ts";
import type { AnswerPart, Dialect, Question } from "./dialects/question.ts";
import { echoQuestions, identitiesQuestions, perceptronQuestions, severalQuestions } from "./dialects/questions.ts";
import { createUnifiedDialects } from "./dialects/unified.ts";

/* One question, asked in every protocol: the answers must be the same to the byte. */

const services = ["echo", "perceptron", "several", "identities", "mmocr"];
const root = join(import.meta.dir, "../..");
const folders = services.map((name) =>
  ["echo", "mmocr"].includes(name)
    ? join(root, "config/services", name)
    : join(root, "tests/fixtures/models", `${name}.onnx`),
);
const local = { host: "127.0.0.1", port: 0 };
const loader = await startServiceProcess({
  main: "loader/main.ts",
  config: JSON.stringify({ listen: local, admin: local, services: folders }),
});
await waitUntilReady(loader, services);
const gateway = await startGateway(services.map((id) => ({ id, endpoints: [urlOf(loader)] })));
const [url, grpc] = [urlOf(gateway), addressOf(gateway, "grpc")];

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const dialects: Readonly<Record<string, Dialect>> = {
  ...createUnifiedDialects(url),
  ...createMessageDialects(url, grpc),
  ...createOpenInferenceDialects(url, grpc),
};

/** In which protocols a question was asked. */
type Asked = Set<string>;

/** Asks in every protocol that has a form for the question, and compares the answers; gives the first. */
async function askAll(question: Question, asked: Asked): Promise<readonly AnswerPart[]> {
  const able = Object.entries(dialects).filter(([, { takes }]) => takes?.(question) ?? true);
  const answers = await Promise.all(
    able.map(async ([name, { ask }]) => {
      asked.add(name);
      // A protocol may give outputs in the order that it was asked for them.
      return [name, (await ask(question)).toSorted((a, b) => a.name.localeCompare(b.name))] as const;
    }),
  );
  const first = answers[0]?.[1] ?? [];
  const wanted = question.wishes;
  expect(answers.length).toBeGreaterThan(15);
  for (const [name, answer] of answers) {
    // The Open Inference Protocol alone leaves out what was not asked for.
    const parts =
      name.startsWith("inference protocol") && Object.keys(wanted).length > 0
        ? first.filter((part) => part.name in wanted)
        : first;
    expect({ name, answer }).toEqual({ name, answer: [...parts] });
  }
  return first;
}

async function askMany(
  questions: Arbitrary<Question>,
  numRuns: number,
  check: (question: Question, answer: readonly AnswerPart[]) => void,
): Promise<Asked> {
  const asked: Asked = new Set();
  const property = asyncProperty(questions, async (question) => check(question, await askAll(question, asked)));
  await assert(property, { numRuns });
  return asked;
}

const everyDialect = Object.keys(dialects).toSorted();
const dataOf = (answer: readonly AnswerPart[], name: string): Uint8Array =>
  answer.find((part) => part.name === name)?.data ?? new Uint8Array();

describe("the answer is the same to the byte in every protocol", () => {
  test("of the service echo, whatever its data is", async () => {
    const asked = await askMany(echoQuestions, 40, ({ parts }, answer) => {
      expect(answer.map(({ data }) => data)).toEqual(parts.map(({ data }) => data));
    });
    expect([...asked].toSorted()).toEqual(everyDialect);
  });

  test("of a model that computes", async () => {
    const asked = await askMany(perceptronQuestions, 15, (_, answer) => {
      expect(answer).toMatchObject([{ name: "y", attributes: { datatype: "FP32" } }]);
    });
    expect([...asked].toSorted()).toEqual(everyDialect);
  });

  test("of a model with 64-bit integers, doubles and texts", async () => {
    await askMany(severalQuestions, 15, ({ parts }, answer) => {
      const [signed, , , texts] = parts.map(({ data }) => data);
      const doubled = new BigInt64Array(new Uint8Array(signed ?? []).buffer).map((value) => value + value);
      expect(dataOf(answer, "doubled")).toEqual(new Uint8Array(doubled.buffer));
      expect(dataOf(answer, "same")).toEqual(texts ?? new Uint8Array());
    });
  });

  test("of a model with every datatype", async () => {
    await askMany(identitiesQuestions, 15, ({ parts }, answer) => {
      for (const { name, data } of parts) expect(dataOf(answer, `${name}_out`)).toEqual(data);
    });
  });

  test("of the service mmocr, for pictures with several words, one and none", async () => {
    const one = { text: "ATHENA", x: 20, y: 55, size: 44 };
    const picture = { width: 240, height: 80, background: "white", lines: [one] };
    const more = [one, { text: "port 30889", x: 20, y: 110, size: 32 }];
    const cases = [
      [{ ...picture, height: 140, lines: more }, "json", 3],
      [picture, "plain", 1],
      [{ ...picture, lines: [] }, "json", 0],
    ] as const;
    for (const [drawn, format, words] of cases) {
      const data = await drawText(drawn);
      const parts = [{ name: "data", member: "image" as const, attributes: { encoding: "png" }, data }];
      const answer = await askAll({ service: "mmocr", parts, wishes: { boxes: { format } } }, new Set());
      expect(answer).toMatchObject([{ name: "boxes", attributes: { compress: "raw", encoding: "utf8", format } }]);
      const [{ result }] = JSON.parse(new TextDecoder().decode(dataOf(answer, "boxes")));
      expect(result).toHaveLength(words);
    }
  });
});
