#!/usr/bin/env bun
/** The command line; docs/command-line.md shows it at work. */
import { athena } from "./program.ts";

process.exit(await athena(process.argv.slice(2)));
