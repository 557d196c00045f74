// Completion for SQL: views, the columns of those named in the query, and the words of the language.

export type Catalogue = Map<string, { name: string; type: string }[]>

const WORDS = ['SELECT', 'FROM', 'WHERE', 'GROUP BY', 'ORDER BY', 'LIMIT', 'DISTINCT', 'count(*)', 'sum(', 'avg(', 'min(', 'max(', 'percentile_cont(0.95) WITHIN GROUP (ORDER BY ', 'date_bin(INTERVAL \'15 minutes\', ', 'date_trunc(\'hour\', ', 'array_has(reasons, ', 'FILTER (WHERE ', 'JOIN', 'LEFT JOIN', 'USING (', 'HAVING', 'BETWEEN', 'INTERVAL', 'CASE WHEN', 'coalesce(', 'OVER (PARTITION BY ', 'DESC']

/** The word the caret stands in or behind. */
export function wordAt(sql: string, caret: number): { start: number; end: number; word: string } {
  const before = /[A-Za-z_][A-Za-z0-9_]*$/.exec(sql.slice(0, caret))?.[0] ?? ''
  const after = /^[A-Za-z0-9_]*/.exec(sql.slice(caret))?.[0] ?? ''
  return { start: caret - before.length, end: caret + after.length, word: before }
}

export function completions(catalogue: Catalogue, sql: string, caret: number): string[] {
  const { start, word } = wordAt(sql, caret)
  if (word.length === 0) return []
  const typed = word.toLowerCase()
  const named = [...catalogue.keys()].filter((view) => new RegExp(`\\b${view}\\b`, 'i').test(sql))
  const afterFrom = /\b(from|join)\s+$/i.test(sql.slice(0, start))
  const views = [...catalogue.keys()]
  const columns = [...new Set((named.length ? named : views).flatMap((v) => catalogue.get(v)?.map((c) => c.name) ?? []))]
  const all = afterFrom ? views : [...columns, ...views, ...WORDS]
  const fits = all.filter((w) => w.toLowerCase().startsWith(typed) && w.toLowerCase() !== typed).sort((a, b) => a.length - b.length)
  const within = all.filter((w) => !fits.includes(w) && typed.length > 2 && w.toLowerCase().includes(typed) && w.toLowerCase() !== typed)
  return [...new Set([...fits, ...within])]
}
