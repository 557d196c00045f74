// Calls to the gate.

import type { Account, Alert, Decision, DecisionDetail, Lane } from './types'

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter: number | null,
  ) {
    super(message)
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { 'x-portgate': '1' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  let response: Response
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
  } catch {
    throw new ApiError(0, 'unreachable', '', null)
  }
  if (response.status === 204) return undefined as T
  const data: unknown = await response.json().catch(() => ({}))
  if (response.ok) return data as T
  const error = (data as { error?: { code?: string; message?: string } }).error ?? {}
  const retry = Number(response.headers.get('retry-after')) || null
  throw new ApiError(response.status, error.code ?? 'error', error.message ?? response.statusText, retry)
}

export type WordAction = 'release' | 'refuse' | 'correct'

const id = encodeURIComponent

export const api = {
  who: () => call<Account>('GET', '/v1/session'),
  signIn: (name: string, secret: string, newSecret?: string) =>
    call<Account>('POST', '/v1/session', { name, secret, ...(newSecret ? { new_secret: newSecret } : {}) }),
  signOut: () => call<void>('DELETE', '/v1/session'),
  lanes: () => call<{ lanes: Lane[]; now: string }>('GET', '/v1/lanes'),
  decisions: (query = '') => call<{ decisions: Decision[]; now: string }>('GET', `/v1/decisions${query}`),
  decision: (decision: string) => call<DecisionDetail>('GET', `/v1/decisions/${id(decision)}`),
  alerts: () => call<{ alerts: Alert[] }>('GET', '/v1/alerts'),
  speak: (decision: Decision, action: WordAction, reason: string, plate?: string) =>
    call<{ id: string; version: number }>('POST', `/v1/decisions/${id(decision.id)}/${action}`, {
      reason,
      version: decision.version,
      ...(plate ? { plate } : {}),
    }),
}
