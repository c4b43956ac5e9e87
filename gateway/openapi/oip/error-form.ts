import type { ErrorForm } from "../errors.ts";

/** The Open Inference Protocol's. */
export const openInferenceErrors: ErrorForm = { name: "ModelError", example: () => ({ error: "..." }) };
