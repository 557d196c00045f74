// What lanes and checkpoints are called: the port's own (Chinese) names, or words made from what they are.

import { term, t } from './i18n'
import { lang } from './prefs'
import type { Lane } from './types'

export function laneTitle(lane: Lane): string {
  if (lang.value === 'zh' && lane.name) return lane.name
  return `${term('laneClass', lane.lane_class)} ${term('direction', lane.direction)} ${lane.lane.split('.').pop() ?? ''}`.trim()
}

export function placeTitle(lane: Lane): string {
  const id = lane.checkpoint ?? ''
  if (lang.value === 'zh') return lane.checkpoint_name ?? id
  return id && t('checkpointNo', { id })
}

/** Every checkpoint that has a lane: its id and what it is called. */
export function checkpointsOf(lanes: readonly Lane[]): [string, string][] {
  return [...new Map(lanes.filter((l) => l.checkpoint).map((l) => [l.checkpoint ?? '', placeTitle(l)]))]
}
