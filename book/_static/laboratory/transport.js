"use strict";

// Couplings of two token clouds, in float64. A cloud is n rows of d numbers, one after the other.

// Squared Euclidean distance of every row of x to every row of y, n * n numbers.
function costMatrix(x, y, n, d) {
  const costs = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < d; k++) sum += (x[i * d + k] - y[j * d + k]) ** 2;
      costs[i * n + j] = sum;
    }
  return costs;
}

// The permutation of least cost, by shortest augmenting paths (Jonker and Volgenant, 1987). Column
// n stands for none; u and v are prices that make every reduced cost >= 0, and 0 on the pairs.
function assignment(costs, n) {
  const u = new Float64Array(n + 1), v = new Float64Array(n + 1);
  const rowOf = new Int32Array(n + 1).fill(-1);
  for (let row = 0; row < n; row++) {
    const distance = new Float64Array(n).fill(Infinity);
    const before = new Int32Array(n).fill(n);
    const done = new Uint8Array(n + 1);
    let column = n;
    rowOf[n] = row;
    while (rowOf[column] !== -1) {
      const i = rowOf[column];
      let step = Infinity, nearest = n;
      done[column] = 1;
      for (let j = 0; j < n; j++) {
        if (done[j]) continue;
        const reduced = costs[i * n + j] - u[i] - v[j];
        if (reduced < distance[j]) [distance[j], before[j]] = [reduced, column];
        if (distance[j] < step) [step, nearest] = [distance[j], j];
      }
      for (let j = 0; j <= n; j++) {
        if (done[j]) [u[rowOf[j]], v[j]] = [u[rowOf[j]] + step, v[j] - step];
        else distance[j] -= step;
      }
      column = nearest;
    }
    while (column !== n) {
      rowOf[column] = rowOf[before[column]];
      column = before[column];
    }
  }
  const sigma = new Int32Array(n);
  for (let j = 0; j < n; j++) sigma[rowOf[j]] = j;
  return sigma;
}

// Root of the summed squared distances of paired tokens; W2 for the optimal coupling.
function couplingCost(costs, sigma) {
  return Math.sqrt(sigma.reduce((sum, j, i) => sum + costs[i * sigma.length + j], 0));
}

// The cloud (1 - t) x + t y[sigma].
function displaced(x, y, sigma, t) {
  const d = x.length / sigma.length;
  return x.map((value, k) => {
    const row = Math.floor(k / d);
    return (1 - t) * value + t * y[sigma[row] * d + (k - row * d)];
  });
}
