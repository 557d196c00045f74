// What a record of each kind holds, from the gate's own schemas of the registry.

/** A field as a form shows it; `other` is left to JSON. */
export interface Field {
  type: 'text' | 'number' | 'flag' | 'date' | 'instant' | 'choice' | 'list' | 'other'
  needed: boolean
  values: string[]
  about: string
}

interface Schema {
  type?: string | string[]
  format?: string
  const?: string
  enum?: string[]
  description?: string
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  $ref?: string
  properties?: Record<string, Schema>
  required?: string[]
  $defs?: Record<string, Schema>
}

const files = import.meta.glob<Schema>('../../../ingest/schemas/registry/*.schema.json', { eager: true, import: 'default' })

function field(root: Schema, schema: Schema, needed: boolean): Field {
  let s = schema
  // Through "or null" and references to what it is.
  for (let depth = 0; depth < 4; depth += 1) {
    const one = s.anyOf?.filter((x) => x.type !== 'null')
    if (one?.length === 1 && one[0]) s = one[0]
    else if (s.$ref) s = root.$defs?.[s.$ref.split('/').pop() ?? ''] ?? {}
    else break
  }
  const values = s.enum ?? (s.oneOf?.every((x) => x.const !== undefined) ? s.oneOf.map((x) => x.const ?? '') : [])
  const type = [s.type].flat().find((x) => x !== 'null')
  const about = schema.description ?? s.description ?? ''
  const kind = (): Field['type'] => {
    if (values.length) return 'choice'
    if (type === 'string') return s.format === 'date' ? 'date' : s.format === 'date-time' ? 'instant' : 'text'
    if (type === 'number' || type === 'integer') return 'number'
    if (type === 'boolean') return 'flag'
    return type === 'array' && s.items?.type === 'string' ? 'list' : 'other'
  }
  return { type: kind(), needed, values, about }
}

export const fieldsOf: Record<string, Record<string, Field>> = Object.fromEntries(
  Object.entries(files).map(([path, root]) => {
    const kind = path.replace(/^.*\/|\.schema\.json$/g, '')
    const fields = Object.entries(root.properties ?? {}).map(([name, s]) => [name, field(root, s, root.required?.includes(name) ?? false)])
    return [kind, Object.fromEntries(fields) as Record<string, Field>]
  }),
)
