import { PartType } from "./gen/athena/v1/part_pb.ts";

/** The types of data by the names that definitions and the unified protocol give them. */
export const partTypes = {
  text: PartType.TEXT,
  audio: PartType.AUDIO,
  image: PartType.IMAGE,
  video: PartType.VIDEO,
  other: PartType.OTHER,
} as const;

/** A name of {@link partTypes}. */
export type PartTypeName = keyof typeof partTypes;
