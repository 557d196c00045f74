// Calls to the gate; shapes come from the description the gate itself publishes.

import type { Account, AccountEntry, Alert, Ask, AuditEntry, Case, Congestion, Decision, DecisionDetail, Facts, Fault, FoundDecision, HandoverDay, Lane, NewAccount, Question, RegistryItem, Row, Sample, Search, Signature, SqlTable, Violation, WatchEntry, Watched } from './types'

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter: number | null,
    readonly faults: Fault[] = [],
  ) {
    super(message)
  }
}

async function call<T>(method: string, path: string, body?: unknown, plain = false): Promise<T> {
  const headers: Record<string, string> = { 'x-portgate': '1' }
  if (body !== undefined) headers['content-type'] = plain ? 'text/plain' : 'application/json'
  let response: Response
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : plain ? String(body) : JSON.stringify(body) })
  } catch {
    throw new ApiError(0, 'unreachable', '', null)
  }
  if (response.status === 204) return undefined as T
  const data: unknown = await response.json().catch(() => ({}))
  if (response.ok) return data as T
  const error = (data as { error?: { code?: string; message?: string; faults?: Fault[] } }).error ?? {}
  const retry = Number(response.headers.get('retry-after')) || null
  throw new ApiError(response.status, error.code ?? 'error', error.message ?? response.statusText, retry, error.faults ?? [])
}

export type WordAction = 'release' | 'refuse' | 'correct'
export type Want = Ask['want']

const id = encodeURIComponent

export const api = {
  who: () => call<Account>('GET', '/v1/session'),
  signIn: (name: string, secret: string, newSecret?: string) =>
    call<Account>('POST', '/v1/session', { name, secret, ...(newSecret ? { new_secret: newSecret } : {}) }),
  signOut: () => call<void>('DELETE', '/v1/session'),
  lanes: () => call<{ lanes: Lane[]; now: string }>('GET', '/v1/lanes'),
  decisions: (query = '') => call<{ decisions: Decision[]; now: string }>('GET', `/v1/decisions${query}`),
  decision: (decision: string) => call<DecisionDetail>('GET', `/v1/decisions/${id(decision)}`),
  facts: (decision: string) => call<Facts>('GET', `/v1/decisions/${id(decision)}/facts`),
  alerts: () => call<{ alerts: Alert[] }>('GET', '/v1/alerts'),
  speak: (decision: Decision, action: WordAction, reason: string, plate?: string) =>
    call<{ id: string; version: number }>('POST', `/v1/decisions/${id(decision.id)}/${action}`, {
      reason,
      version: decision.version,
      ...(plate ? { plate } : {}),
    }),
  asks: () => call<{ asks: Ask[] }>('GET', '/v1/asks'),
  ask: (decision: string, want: Want, note: string) => call<{ id: string }>('POST', `/v1/decisions/${id(decision)}/ask`, { want, note }),
  settle: (ask: string, note: string) => call<{ id: string }>('POST', `/v1/asks/${id(ask)}/settle`, { note }),
  search: (search: Search) => call<{ rows: FoundDecision[]; more: boolean }>('POST', '/v1/search', search),
  case: (subject: { purpose: string; plate?: string; card?: string }) => call<Case>('POST', '/v1/case', subject),
  samples: (purpose: string) => call<{ samples: Sample[] }>('POST', '/v1/samples', { purpose }),
  audit: () => call<{ entries: AuditEntry[]; count: number; chain: string }>('GET', '/v1/audit?limit=500'),
  violations: () => call<{ violations: Violation[] }>('GET', '/v1/violations?limit=500'),
  rule: (violation: string, act: 'verify' | 'dismiss', body: Row) => call<unknown>('POST', `/v1/violations/${id(violation)}/${act}`, body),
  sanction: (sanction: string, act: 'accept' | 'reject', body: Row) => call<unknown>('POST', `/v1/sanctions/${id(sanction)}/${act}`, body),
  watch: () => call<{ entries: Watched[]; now: string }>('GET', '/v1/watch'),
  putWatch: (entry: string, body: WatchEntry) => call<{ id: string }>('PUT', `/v1/watch/${id(entry)}`, body),
  deleteWatch: (entry: string) => call<{ id: string }>('DELETE', `/v1/watch/${id(entry)}`),
  congestion: () => call<Congestion>('GET', '/v1/congestion'),
  handovers: () => call<{ today: string; days: HandoverDay[]; out: Row[] }>('GET', '/v1/handovers'),
  sign: (day: string, body: { party: Signature['party']; counted: number; remark: string | null }) =>
    call<{ day: string; recovered: number }>('POST', `/v1/handovers/${id(day)}/sign`, body),
  questions: () => call<{ questions: Question[] }>('GET', '/v1/questions'),
  saveQuestion: (name: string, sql: string, chart: Question['chart']) => call<{ name: string }>('PUT', `/v1/questions/${id(name)}`, { sql, chart }),
  deleteQuestion: (name: string) => call<{ name: string }>('DELETE', `/v1/questions/${id(name)}`),
  sql: (sql: string, limit = 1000) => call<SqlTable>('POST', '/v1/sql', { sql, limit }),
  registry: (kind: string, query: { q?: string; after?: string; limit?: number }) => {
    const params = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') params.set(name, String(value))
    return call<{ kind: string; records: RegistryItem[]; next: string | null }>('GET', `/v1/registry/${id(kind)}?${params}`)
  },
  record: (kind: string, record: string) => call<{ kind: string; id: string; value: Row }>('GET', `/v1/registry/${id(kind)}/${id(record)}`),
  putRecord: (kind: string, record: string, value: unknown) => call<{ revision: number }>('PUT', `/v1/registry/${id(kind)}/${id(record)}`, value),
  deleteRecord: (kind: string, record: string) => call<{ revision: number }>('DELETE', `/v1/registry/${id(kind)}/${id(record)}`),
  accounts: () => call<AccountEntry[]>('GET', '/v1/accounts'),
  putAccount: (name: string, account: NewAccount) => call<{ token?: string | null }>('PUT', `/v1/accounts/${id(name)}`, account),
  deleteAccount: (name: string) => call<void>('DELETE', `/v1/accounts/${id(name)}`),
  importFile: (text: string, kind: string | null, check: boolean) =>
    call<{ records: number; imported: boolean; revision?: number }>('POST', `/v1/registry/import?check=${check}${kind ? `&kind=${id(kind)}` : ''}`, text, true),
}
