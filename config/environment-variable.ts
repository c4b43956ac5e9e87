/** The value of an environment variable that a configuration names, such as an API key; undefined for none. */
export function environmentVariable(name: string): string | undefined {
  return process.env[name]?.trim() || undefined;
}
