/** The value of an environment variable whose name stands in a configuration, such as an API key. Undefined when it is not set or empty. */
export function environmentVariable(name: string): string | undefined {
  return process.env[name]?.trim() || undefined;
}
