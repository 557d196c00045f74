// For which bodies a role speaks. The gate decides; this only keeps away what it would refuse.

import { account } from './live'
import type { NamedBody, Role } from './types'

export const BODIES: Partial<Record<Role, NamedBody[]>> = {
  guard: ['GUARD'],
  supervisor: ['CHECKPOINT_SUPERVISOR', 'GUARD'],
  security: ['PAMC', 'ROAD_PORT', 'PORT_POLICE', 'TRAFFIC_POLICE', 'TERMINAL', 'PORT_ADMIN'],
  registrar: ['PBD'],
  customs: ['CUSTOMS'],
}

/** Whether the person signed in speaks for one of them. */
export function speaksFor(bodies: readonly string[]): boolean {
  const who = account.value
  if (!who?.may.includes('rule')) return false
  const own: string[] = who.body ? [who.body] : (BODIES[who.role] ?? [])
  return bodies.some((b) => own.includes(b))
}
