// Which page is shown: the part of the address after `#`, so that a page can be bookmarked.

import { computed, ref } from 'vue'
import { account } from './live'

export type PageName = 'room' | 'search' | 'violations' | 'watch' | 'congestion' | 'cards' | 'analysis' | 'registry' | 'audit'

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
]

function read(): { name: PageName; args: string[]; query: URLSearchParams } {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?')
  const [name = '', ...args] = path.split('/').map(decodeURIComponent)
  const known = pages.find((p) => p.name === name)
  return { name: known?.name ?? 'room', args, query: new URLSearchParams(query) }
}

const place = ref(read())
window.addEventListener('hashchange', () => (place.value = read()))

/** The pages this account can use, in their order. */
export const allowed = computed(() => {
  const may = account.value?.may ?? []
  return pages.filter((p) => !p.needs || [p.needs].flat().some((n) => may.includes(n))).map((p) => p.name)
})

/** The page shown; one that is not allowed shows the room. */
export const page = computed(() => (allowed.value.includes(place.value.name) ? place.value : { name: 'room' as const, args: [], query: new URLSearchParams() }))

export function href(name: PageName, args: string[] = [], query: Record<string, string> = {}): string {
  const tail = new URLSearchParams(query).toString()
  return `#/${[name, ...args].map(encodeURIComponent).join('/')}${tail ? `?${tail}` : ''}`
}

export function go(name: PageName, args: string[] = [], query: Record<string, string> = {}): void {
  location.hash = href(name, args, query)
}
