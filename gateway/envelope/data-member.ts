import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";

/**
 * The type that a payload member of this name stands for; UNSPECIFIED for a name that is an attribute's. A switch,
 * because it is asked for every member of every request.
 */
export function typeFromMember(name: string): PartType {
  switch (name) {
    case "text":
      return PartType.TEXT;
    case "audio":
      return PartType.AUDIO;
    case "image":
      return PartType.IMAGE;
    case "video":
      return PartType.VIDEO;
    case "other":
      return PartType.OTHER;
    default:
      return PartType.UNSPECIFIED;
  }
}

/** The name of the member that holds data of this type. A type that this version does not know is `other`. */
export function memberFromType(type: PartType): string {
  switch (type) {
    case PartType.TEXT:
      return "text";
    case PartType.AUDIO:
      return "audio";
    case PartType.IMAGE:
      return "image";
    case PartType.VIDEO:
      return "video";
    default:
      return "other";
  }
}
