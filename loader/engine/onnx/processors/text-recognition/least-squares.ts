/**
 * Solves the square system `matrix * x = right` by elimination; undefined when it has no single solution. For the few
 * unknowns of a fitted curve.
 */
export function solveLinear(matrix: readonly (readonly number[])[], right: readonly number[]): number[] | undefined {
  const size = right.length;
  const rows = matrix.map((row, index) => [...row, right[index] ?? 0]);
  for (let column = 0; column < size; column++) {
    const pivot = pivotRow(rows, column);
    const [upper, chosen] = [rows[column], rows[pivot]];
    if (upper === undefined || chosen === undefined || Math.abs(chosen[column] ?? 0) < 1e-12) return undefined;
    [rows[column], rows[pivot]] = [chosen, upper];
    for (const row of rows) if (row !== chosen) subtractMultiple(row, chosen, column);
  }
  return rows.map((row, index) => (row[size] ?? 0) / (row[index] ?? 1));
}

// Clears `row[column]`, and what stands right of it accordingly.
function subtractMultiple(row: number[], chosen: readonly number[], column: number): void {
  const factor = (row[column] ?? 0) / (chosen[column] ?? 1);
  for (let index = column; index < row.length; index++) {
    row[index] = (row[index] ?? 0) - factor * (chosen[index] ?? 0);
  }
}

function pivotRow(rows: readonly (readonly number[])[], column: number): number {
  let pivot = column;
  for (let index = column + 1; index < rows.length; index++) {
    if (Math.abs(rows[index]?.[column] ?? 0) > Math.abs(rows[pivot]?.[column] ?? 0)) pivot = index;
  }
  return pivot;
}

/** Gathers observations of `unknowns` coefficients and finds those with the least sum of squared errors. */
export function createLeastSquares(unknowns: number) {
  const matrix = Array.from({ length: unknowns }, () => new Array<number>(unknowns).fill(0));
  const right = new Array<number>(unknowns).fill(0);
  return {
    /** One observation: `factors` times the coefficients should be `value`. */
    add(factors: readonly number[], value: number): void {
      for (const [index, row] of matrix.entries()) {
        const factor = factors[index] ?? 0;
        for (let k = 0; k < unknowns; k++) row[k] = (row[k] ?? 0) + factor * (factors[k] ?? 0);
        right[index] = (right[index] ?? 0) + factor * value;
      }
    },
    /** The coefficients; undefined when the observations do not settle them. */
    solve(): number[] | undefined {
      return solveLinear(matrix, right);
    },
  };
}
