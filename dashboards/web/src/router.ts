// Which page is shown: the part of the address after `#`, so that a page can be bookmarked.

import { computed, ref } from 'vue'
import { account } from './live'
import type { Role } from './types'

export type PageName = 'room' | 'search' | 'violations' | 'watch' | 'congestion' | 'cards' | 'analysis' | 'registry' | 'audit' | 'people'

interface PageInfo {
  name: PageName
  /** What an account must be allowed for it; none: everybody. */
  needs?: string | string[]
}

const pages: PageInfo[] = [
  { name: 'room' },
  { name: 'search', needs: 'search' },
  { name: 'violations' },
  { name: 'watch', needs: 'see_watch' },
  { name: 'congestion' },
  { name: 'cards', needs: 'hand_over' },
  { name: 'analysis', needs: 'sql' },
  { name: 'registry', needs: 'read_registry' },
  { name: 'audit', needs: ['audit', 'samples'] },
  { name: 'people', needs: 'manage_accounts' },
]

function read(): { name: PageName | null; args: string[]; query: URLSearchParams } {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?')
  const [name = '', ...args] = path.split('/').map(decodeURIComponent)
  const known = pages.find((p) => p.name === name)
  return { name: known?.name ?? null, args, query: new URLSearchParams(query) }
}

const place = ref(read())
window.addEventListener('hashchange', () => (place.value = read()))

/** The pages this account can use, in their order. */
export const allowed = computed(() => {
  const may = account.value?.may ?? []
  return pages.filter((p) => !p.needs || [p.needs].flat().some((n) => may.includes(n))).map((p) => p.name)
})

/** Where a role's work begins; the others begin in the room. */
const HOME: Partial<Record<Role, PageName>> = { analyst: 'analysis', registrar: 'registry', security: 'violations', administrator: 'people' }

/** The page shown; without one in the address, or one that is not allowed, the role's own. */
export const page = computed(() => {
  const { name, args, query } = place.value
  if (name !== null && allowed.value.includes(name)) return { name, args, query }
  const home = account.value ? HOME[account.value.role] : undefined
  return { name: home && allowed.value.includes(home) ? home : ('room' as const), args: [], query: new URLSearchParams() }
})

export function href(name: PageName, args: string[] = [], query: Record<string, string> = {}): string {
  const tail = new URLSearchParams(query).toString()
  return `#/${[name, ...args].map(encodeURIComponent).join('/')}${tail ? `?${tail}` : ''}`
}

export function go(name: PageName, args: string[] = [], query: Record<string, string> = {}): void {
  location.hash = href(name, args, query)
}
