// What the gate sends: generated from /openapi.json (`npm run client`), named here.

import type { components } from './schema'

type S = components['schemas']

export type Decision = S['Decision']
export type DecisionDetail = S['DecisionDetail']
export type Reason = S['Reason']
export type PlateRead = S['PlateRead']
export type Lane = S['Lane']
export type Alert = S['Alert']
export type Account = S['Session']
export type Role = S['Role']
export type Verdict = Decision['verdict']
export type DecisionState = Decision['state']
export type Severity = Reason['severity']
export type Barrier = NonNullable<Lane['barrier']>
export type AccountEntry = S['Account']
export type NewAccount = S['NewAccount']
export type NamedBody = S['NamedBody']
export type Ask = S['Ask']
export type Facts = S['Facts']
export type Watched = S['Watched']
export type WatchEntry = S['WatchEntry']
export type Question = S['Question']
export type Signature = S['Signature']
export type HandoverDay = S['HandoverDay']
export type FoundDecision = S['FoundDecision']
export type Search = S['Search']
export type Case = S['Case']
export type LaneSums = S['LaneSums']
export type Congestion = S['Congestion']
export type AuditEntry = S['AuditEntry']
export type Sample = S['Sample']
export type SqlTable = S['SqlTable']
export type RegistryItem = S['RegistryItem']
export type Fault = S['Fault']
export type Violation = S['Violation']
/** A row of a table, by its columns' names. */
export type Row = Record<string, unknown>
