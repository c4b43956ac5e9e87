/** What the user got wrong: an argument, a folder, a file. The command ends with 2 and this message. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What went wrong at work, in words for the user: code that does not compile, a port that is taken. The command ends with 1. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
}
