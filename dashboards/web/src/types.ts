// What the gate sends; described in full by /openapi.json.

export type Verdict = 'OPEN' | 'HOLD' | 'REFUSE'
export type DecisionState = 'held' | 'refused' | 'opened' | 'passed' | 'gone' | 'expired'
export type Severity = 'info' | 'low' | 'medium' | 'high' | 'critical'
export type Barrier = 'closed' | 'opening' | 'open' | 'closing' | 'fault' | 'rejected' | 'expired'
export type Role = 'guard' | 'supervisor' | 'security' | 'analyst' | 'registrar' | 'customs' | 'administrator' | 'device'

export interface Reason {
  code: string
  check: string
  cite: string | null
  disposition: Verdict
  severity: Severity
  zh: string
  en: string
}

export interface ReadCharacter {
  char: string
  confidence: number
  alternatives?: [string, number][]
}

export interface PlateRead {
  text: string
  confidence: number
  kind?: string
  colour?: string
  characters?: ReadCharacter[]
  settled?: boolean
}

export interface Person {
  name: string
  role: Role
}

export interface Decision {
  id: string
  version: number
  state: DecisionState
  approach_id: string
  checkpoint: string
  lane: string
  direction: string
  row: string | null
  category: string | null
  verdict: Verdict
  in_order: boolean
  reasons: Reason[]
  violations: string[]
  effects: string[]
  release_role: Role | null
  plate: string | null
  plate_source: 'manual' | 'camera' | 'card' | 'qr' | null
  enterprise: string | null
  plate_read: PlateRead | null
  card: string | null
  arrived_at: string
  decided_at: string
  latency_us: number
  policy_revision: string
  registry_revision: number
  registry_age_ms: number
  frame_url?: string
  by: Person | null
  action: 'release' | 'refuse' | 'correct' | null
  note: string | null
}

export interface DecisionDetail extends Decision {
  versions: Decision[]
}

export interface Lane {
  lane: string
  name: string | null
  checkpoint: string | null
  checkpoint_name: string | null
  site: string | null
  direction: string | null
  lane_class: string | null
  frame: { id: string; captured_at: string | null; url: string } | null
  approach_id: string | null
  arrived_at: string | null
  plate_read: PlateRead | null
  card: string | null
  decision: Decision | null
  barrier: Barrier | null
  queue: number | null
  last_read_at: string | null
}

export interface Alert {
  id: string
  at: string
  code: string
  level: 'warning' | 'critical'
  lane: string
  decision_id: string | null
  plate: string | null
}

export interface Account {
  name: string
  role: Role
  may: string[]
  masked: boolean
  demo: boolean
}
