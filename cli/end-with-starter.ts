/** Loaded before the main file of a process that must not outlive the command that started it, however that ends. */
import { endWithParent } from "../loader/engine/host/end-with-parent.ts";

endWithParent();
