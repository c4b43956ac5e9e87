/** What a Python file says its service is called, as far as it says so with literals. */
export interface PythonIdentity {
  readonly id?: string;
  readonly version?: string;
}

/** Comments, and texts in triple quotes, which span lines; other texts are matched so that a # in them begins no comment. */
const hidden = /#[^\n]*|("""|''')[\s\S]*?(?:\1|$)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g;

/** The arguments of `@athena.service(...)`: parentheses in texts do not end them. */
const decorator = /^@(?:athena\.)?service\(((?:"[^"\n]*"|'[^'\n]*'|[^)"'])*)\)/m;

/** What stands between two arguments; a text is matched so that a comma in it separates nothing. */
const separator = /("[^"\n]*"|'[^'\n]*')|,\s*/g;

/**
 * Reads the id and the version of a service from its source, without running it: the arguments of `@athena.service`, or
 * else the class attributes `serviceId` and `version` of the class `Wrapper`. What is computed is not found.
 */
export function identityFromSource(source: string): PythonIdentity {
  const code = source.replace(hidden, (text, quotes) => {
    if (quotes !== undefined) return `""${"\n".repeat(text.split("\n").length - 1)}`;
    return text.startsWith("#") ? "" : text;
  });
  const [, decorated] = decorator.exec(code) ?? [];
  if (decorated !== undefined)
    return identityOf(
      decorated.replaceAll(separator, (_, text) => text ?? "\n"),
      "id",
    );
  return identityOf(attributesOf("Wrapper", code), "serviceId");
}

/** The lines of a class that stand directly in its body, without their indentation. */
function attributesOf(name: string, code: string): string {
  const lines = code.split("\n");
  const start = lines.findIndex((line) => new RegExp(`^class\\s+${name}\\b`).test(line));
  if (start < 0) return "";
  const rest = lines.slice(start + 1).filter((line) => line.trim() !== "");
  const end = rest.findIndex((line) => !/^\s/.test(line));
  const body = end < 0 ? rest : rest.slice(0, end);
  const indentation = /^\s*/.exec(body[0] ?? "")?.[0] ?? "";
  return body
    .filter((line) => line.startsWith(indentation) && !/^\s/.test(line.slice(indentation.length)))
    .map((line) => line.slice(indentation.length))
    .join("\n");
}

function identityOf(lines: string, idName: string): PythonIdentity {
  const id = literalOf(lines, idName);
  const version = literalOf(lines, "version");
  return { ...(id ? { id } : {}), ...(version ? { version } : {}) };
}

/** The text that a line assigns to a name; empty for one that is computed. */
function literalOf(lines: string, name: string): string | undefined {
  const assignment = new RegExp(
    `^\\s*${name}\\s*(?::[^=\\n]+)?=\\s*(?:"([^"\\\\\\n]*)"|'([^'\\\\\\n]*)')\\s*;?\\s*$`,
    "m",
  );
  const [, double, single] = assignment.exec(lines) ?? [];
  return double ?? single;
}
