// What the page knows of the gate: lanes, decisions, alerts; kept current by server-sent events.
// A break in the connection is shown, and what happened meanwhile is caught up.

import { computed, reactive, ref } from 'vue'
import { api, ApiError } from './api'
import { gateTimeIs } from './time'
import type { Account, Alert, Ask, Decision, Lane } from './types'

const DECISIONS_SHOWN = 200
const ALERTS_SHOWN = 50
/** The gate says something at least every 10 s; silent for longer, the connection is taken for dead. */
const SILENCE_MAX_MS = 25_000

export type Connection = 'connecting' | 'live' | 'lost'

export const account = ref<Account | null>(null)
export const connection = ref<Connection>('connecting')
export const lostSince = ref<number | null>(null)
/** What came while the page was away, the latest first; null events: not known any more, all was read anew. */
export const backNote = ref<{ events: Missed[] | null } | null>(null)
export const lanes = reactive(new Map<string, Lane>())
export const decisions = reactive(new Map<string, Decision>())
export const alerts = ref<Alert[]>([])
/** Requests of guards, by id. */
export const asks = reactive(new Map<string, Ask>())

/** One thing that came while the page was away. */
export interface Missed {
  kind: 'decision' | 'alert'
  at: string
  lane: string
  plate: string | null
  decisionId: string | null
  decision?: Decision
  alert?: Alert
}

let source: EventSource | null = null
let lastId: string | null = null
let lastHeard = 0
let retryTimer: number | undefined
let retryMs = 500

/** Lane 2 stands before lane 10. */
const byName = new Intl.Collator('en', { numeric: true })
export const laneList = computed(() => [...lanes.values()].sort((a, b) => byName.compare(a.lane, b.lane)))

/** Whether this person acts at the checkpoint; most act at every one. */
function mine(checkpoint: string | null | undefined): boolean {
  const own = account.value?.checkpoints ?? []
  return own.length === 0 || own.includes(checkpoint ?? '')
}

/** The lanes of this person's checkpoints. */
export const ownLanes = computed(() => laneList.value.filter((l) => mine(l.checkpoint)))

/** Reasons of late, by code. */
export const reasonsKnown = computed(() => new Map([...decisions.values()].flatMap((d) => d.reasons.map((r) => [r.code, r] as const))))

/** The latest first. */
export const latest = computed(() => [...decisions.values()].sort((a, b) => Date.parse(b.decided_at) - Date.parse(a.decided_at)))

/** Held and refused ones still at their lanes: who waits longest stands first. */
export const desk = computed(() =>
  [...decisions.values()]
    .filter((d) => (d.state === 'held' || d.state === 'refused') && mine(d.checkpoint))
    .sort((a, b) => rank(a) - rank(b) || Date.parse(a.arrived_at) - Date.parse(b.arrived_at)),
)

/** Where a supervisor is called stands first on the supervisor's desk; what was refused waits behind what is held. */
function rank(d: Decision): number {
  if (account.value?.role === 'supervisor' && [...asks.values()].some((a) => a.decision_id === d.id && a.want === 'supervisor' && a.settled_at === null)) return -1
  return d.state === 'held' ? 0 : 1
}

export function keepDecision(d: Decision): void {
  const known = decisions.get(d.id)
  if (known && known.version > d.version) return
  decisions.set(d.id, d)
  if (decisions.size > DECISIONS_SHOWN * 1.2) {
    const settled = latest.value.filter((x) => x.state !== 'held' && x.state !== 'refused')
    for (const old of settled.slice(DECISIONS_SHOWN)) decisions.delete(old.id)
  }
}

function keepAlert(a: Alert): void {
  if (alerts.value.some((x) => x.id === a.id)) return
  alerts.value = [a, ...alerts.value].slice(0, ALERTS_SHOWN)
}

/** Events that come while the lists are read: told again afterwards, for the lists may be older. */
let meanwhile: (() => void)[] | null = null

async function load(): Promise<void> {
  const events: (() => void)[] = []
  meanwhile = events
  try {
    await readLists()
  } finally {
    if (meanwhile === events) meanwhile = null
    for (const tell of events) tell()
  }
}

async function readLists(): Promise<void> {
  const [all, list, held, refused, recent] = await Promise.all([
    api.lanes(),
    api.decisions(`?limit=${DECISIONS_SHOWN}`),
    api.decisions('?state=held&limit=200'),
    api.decisions('?state=refused&limit=100'),
    api.alerts(),
  ])
  gateTimeIs(all.now)
  const known = new Set(all.lanes.map((l) => l.lane))
  for (const lane of [...lanes.keys()]) if (!known.has(lane)) lanes.delete(lane)
  for (const lane of all.lanes) lanes.set(lane.lane, lane)
  decisions.clear()
  for (const d of [...list.decisions, ...held.decisions, ...refused.decisions]) keepDecision(d)
  alerts.value = recent.alerts.slice(0, ALERTS_SHOWN)
}

async function readAsks(): Promise<void> {
  const all = (await api.asks()).asks
  asks.clear()
  for (const ask of all) asks.set(ask.id, ask)
}

/** Each decision once, as it stands now; the latest first. */
function told(events: Missed[]): Missed[] {
  const seen = new Set<string>()
  return events.reverse().filter((e) => e.kind === 'alert' || (!seen.has(e.decisionId ?? '') && seen.add(e.decisionId ?? '')))
}

/** Events are taken in together, some times a second: of a lane only its latest state counts. */
const TOGETHER_MS = 80
let waiting: (() => void)[] = []
const waitingLanes = new Map<string, Lane>()
let flushTimer: number | undefined

function flush(): void {
  window.clearTimeout(flushTimer)
  flushTimer = undefined
  const now = waiting
  waiting = []
  for (const f of now) f()
  for (const [id, lane] of waitingLanes) lanes.set(id, lane)
  waitingLanes.clear()
}

function later(): void {
  flushTimer ??= window.setTimeout(flush, TOGETHER_MS)
}

function connect(): void {
  source?.close()
  // The place is taken before the lists are read: what happens in between is told again, never lost.
  const url = lastId === null ? '/v1/events' : `/v1/events?after=${encodeURIComponent(lastId)}`
  const stream = new EventSource(url)
  source = stream
  lastHeard = Date.now()
  let wasReset = false
  let missed: Missed[] | null = lostSince.value === null ? null : []
  const heard = (event: MessageEvent<string>) => {
    lastHeard = Date.now()
    if (event.lastEventId) lastId = event.lastEventId
  }
  const on = (kind: string, f: (data: string) => void) =>
    stream.addEventListener(kind, (event) => {
      const message = event as MessageEvent<string>
      heard(message)
      f(message.data)
      if (kind === 'lane' || kind === 'decision' || kind === 'alert') meanwhile?.push(() => f(message.data))
    })
  on('lane', (data) => {
    const lane = JSON.parse(data) as Lane
    waitingLanes.set(lane.lane, lane)
    later()
  })
  on('decision', (data) => {
    const d = JSON.parse(data) as Decision
    missed?.push({ kind: 'decision', at: d.decided_at, lane: d.lane, plate: d.plate, decisionId: d.id, decision: d })
    waiting.push(() => keepDecision(d))
    later()
  })
  on('alert', (data) => {
    const a = JSON.parse(data) as Alert
    missed?.push({ kind: 'alert', at: a.at, lane: a.lane, plate: a.plate, decisionId: a.decision_id, alert: a })
    waiting.push(() => keepAlert(a))
    later()
  })
  on('ask', (data) => {
    const ask = JSON.parse(data) as Ask
    asks.set(ask.id, ask)
  })
  on('passage', () => {})
  on('beat', () => {})
  on('reset', () => {
    wasReset = true
  })
  on('bye', () => lost())
  on('hello', () => {
    flush()
    const cameBack = lostSince.value !== null
    retryMs = 500
    connection.value = 'live'
    lostSince.value = null
    if (wasReset || !cameBack) load().catch(() => lost())
    readAsks().catch(() => lost())
    if (cameBack) backNote.value = { events: wasReset ? null : told(missed ?? []) }
    missed = null
  })
  stream.onerror = () => lost()
}

function lost(): void {
  source?.close()
  source = null
  if (account.value === null) return
  connection.value = 'lost'
  lostSince.value ??= Date.now()
  window.clearTimeout(retryTimer)
  retryTimer = window.setTimeout(retry, retryMs)
  retryMs = Math.min(retryMs * 2, 5000)
}

async function retry(): Promise<void> {
  try {
    account.value = await api.who()
  } catch (e) {
    if (e instanceof ApiError && e.status === 401) return stop()
    return lost()
  }
  connect()
}

window.setInterval(() => {
  if (source !== null && Date.now() - lastHeard > SILENCE_MAX_MS) lost()
}, 2000)

const SIGNED_IN = 'portgate.signed-in'

/** Whether this browser may hold a session (its cookie can't be seen from here). */
export function wasSignedIn(): boolean {
  return localStorage.getItem(SIGNED_IN) !== null
}

/** A signed-in person looks at the page. */
export function start(who: Account): void {
  localStorage.setItem(SIGNED_IN, '1')
  account.value = who
  connection.value = 'connecting'
  lostSince.value = null
  lastId = null
  connect()
}

/** Signed out, or the session has ended: nothing of it stays on the page. */
export function stop(): void {
  waiting = []
  waitingLanes.clear()
  localStorage.removeItem(SIGNED_IN)
  source?.close()
  source = null
  window.clearTimeout(retryTimer)
  account.value = null
  lanes.clear()
  decisions.clear()
  alerts.value = []
  asks.clear()
  backNote.value = null
}
