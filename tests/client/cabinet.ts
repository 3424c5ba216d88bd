// A cabinet as its developers would begin it: types from the contract, one client, every question of the first page.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import createClient from "openapi-fetch";

import type { components, paths } from "./contract.js";

type Problem = components["schemas"]["ProblemOut"];

const [baseUrl, token] = process.argv.slice(2);
assert(baseUrl !== undefined && token !== undefined, "usage: cabinet.js BASE_URL TOKEN");
const cabinet = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

async function firstPoint(): Promise<string> {
  const { data, response } = await cabinet.GET("/api/v1/points", { params: { query: { limit: 10 } } });
  assert.equal(response.status, 200);
  const point = data?.items.find((one) => one.meter !== null);
  assert(point !== undefined, "the consumer has a point with a meter");
  assert.equal(typeof point.zone, "string");
  assert(point.contact !== null, "there is a meter");
  const failedTurns: number = point.contact.failed_turns; // what the types promise is there
  assert.equal(typeof failedTurns, "number");
  assert.notEqual(point.contact.answered_at, undefined);
  return point.code;
}

async function latest(code: string): Promise<components["schemas"]["CountedReading"][]> {
  const { data, error } = await cabinet.GET("/api/v1/points/{code}/readings/latest", { params: { path: { code } } });
  assert(data !== undefined, error?.detail);
  return data.items;
}

async function statistics(code: string): Promise<void> {
  const { data, error } = await cabinet.GET("/api/v1/points/{code}/statistics", {
    params: { path: { code }, query: { channel: "1.8.0" } },
  });
  assert(data !== undefined, error?.detail);
  assert.equal(data.unit, "kWh");
  assert(data.month_to_date !== null, "this month may be seen");
  const amount: string | null = data.month_to_date.amount.amount; // exact numbers are texts, absence is null
  assert(amount === null || /^-?\d+(\.\d+)?$/.test(amount));
}

async function typeIn(code: string, value: string, takenAt: Date, confirm?: boolean) {
  return cabinet.POST("/api/v1/points/{code}/readings", {
    params: { path: { code }, header: { "Idempotency-Key": randomUUID() } },
    body: { taken_at: takenAt.toISOString(), values: { "1.8.0": value }, ...(confirm === undefined ? {} : { confirm }) },
    headers: { "Accept-Language": "ru" },
  });
}

async function manualEntry(code: string): Promise<void> {
  const now = Date.now();
  const taken = await typeIn(code, "1000", new Date(now - 60_000));
  assert.equal(taken.response.status, 201, JSON.stringify(taken.error));
  assert.equal(taken.data?.values[0]?.quality, "good");

  const doubtful = await typeIn(code, "10", new Date(now));
  assert.equal(doubtful.response.status, 409);
  const problem: Problem = doubtful.error ?? assert.fail("a refusal says why");
  assert.equal(problem.code, "doubtful");
  const doubt = problem.values?.[0];
  assert.equal(doubt?.reasons[0]?.code, "below_previous");
  assert.equal(doubt?.previous?.value, "1000", "what was read before");
  assert.match(problem.title, /[а-я]/, "in the language that was asked for");

  const confirmed = await typeIn(code, "10", new Date(now), true);
  assert.equal(confirmed.response.status, 201);
  assert.equal(confirmed.data?.values[0]?.quality, "suspect");
}

async function strangersPoint(): Promise<void> {
  const { error, response } = await cabinet.GET("/api/v1/points/{code}", { params: { path: { code: "flat-2" } } });
  assert.equal(response.status, 404);
  assert.equal(error?.code, "point_not_found");
}

const code = await firstPoint();
const before = await latest(code);
await statistics(code);
await manualEntry(code);
const after = await latest(code);
assert(after.length >= before.length && after.some((one) => one.source === "consumer" && one.value === "1000"));
await strangersPoint();
console.log(`${code}: ${after.length} readings`);
