// The words of the page, Chinese first.

import { pageGroups, pageWords } from './pagewords'
import { lang } from './prefs'

const words = {
  ...pageWords,
  brand: ['港区检查站', 'Port gate'],
  signIn: ['登录', 'Sign in'],
  signInHint: ['请使用检查站账号登录', 'Sign in with your checkpoint account'],
  account: ['账号', 'Account'],
  password: ['密码', 'Password'],
  newPassword: ['设置新密码', 'New password'],
  newPasswordHint: ['首次登录须更换一次性密码（至少 12 个字符）', 'The one-time password must be replaced (12 characters or more)'],
  wrongSecret: ['账号或密码不正确', 'Account or password is wrong'],
  locked: ['尝试次数过多，请 {n} 秒后再试', 'Too many attempts; try again in {n} s'],
  weakPassword: ['新密码至少 12 个字符，且不得与原密码相同', 'The new password needs 12 characters or more and must differ'],
  signOut: ['退出登录', 'Sign out'],
  unreachable: ['无法连接服务器', "The gate can't be reached"],
  live: ['实时', 'Live'],
  connecting: ['连接中', 'Connecting'],
  reconnecting: ['连接中断 {n} 秒，画面可能已过时，正在重连', 'Disconnected for {n} s; what you see may be outdated. Reconnecting'],
  caughtUp: ['已恢复连接，离线期间有 {n} 项动态', 'Back online; {n} things happened meanwhile'],
  reloaded: ['已恢复连接，并重新读取全部数据', 'Back online; everything was read anew'],
  langSwitch: ['English', '中文'],
  toLight: ['浅色', 'Light'],
  toDark: ['深色', 'Dark'],
  lanes: ['通道', 'Lanes'],
  desk: ['待处理', 'To be decided'],
  deskEmpty: ['没有等待处理的车辆', 'No vehicle is waiting for a word'],
  latest: ['最近决定', 'Latest decisions'],
  noDecisions: ['还没有决定', 'No decisions yet'],
  noLanes: ['还没有通道：请先在登记库中建立检查站与通道', 'No lanes yet: add checkpoints and lanes to the registry first'],
  idle: ['空闲', 'Idle'],
  reading: ['识别中', 'Reading'],
  noPicture: ['暂无画面', 'No picture'],
  hiddenPicture: ['当前角色不可查看画面', 'Your role does not see pictures'],
  noPlate: ['未识别到车牌', 'No plate read'],
  waited: ['等待 {t}', 'Waiting {t}'],
  queue: ['排队 {n}', 'Queue {n}'],
  card: ['卡', 'Card'],
  noCard: ['未刷卡', 'No card'],
  greenHold: ['核验无误，待放行', 'In order, to release'],
  redHold: ['有异常，待处理', 'Needs attention'],
  greenShort: ['待放行', 'To release'],
  redShort: ['有异常', 'Attention'],
  open: ['放行', 'Open'],
  refused: ['拒绝通行', 'Refused'],
  held: ['待处理', 'Held'],
  opened: ['已放行', 'Released'],
  passed: ['已通过', 'Passed'],
  gone: ['已离开', 'Left'],
  expired: ['已失效', 'Expired'],
  release: ['放行', 'Release'],
  refuse: ['拒绝', 'Refuse'],
  correct: ['更正车牌', 'Correct plate'],
  correctShort: ['更正', 'Correct'],
  releaseAs: ['放行理由', 'Why release'],
  refuseAs: ['拒绝理由', 'Why refuse'],
  ownReason: ['其他理由，回车确认', 'Another reason, Enter to confirm'],
  correctHint: ['按行驶证输入车牌，回车确认', 'Plate as on the licence, Enter to confirm'],
  cancel: ['取消', 'Cancel'],
  onlyRole: ['由{role}处理', 'For {role}'],
  done_release: ['已放行 {plate}', 'Released {plate}'],
  done_refuse: ['已拒绝 {plate}', 'Refused {plate}'],
  done_correct: ['车牌已更正，重新核验', 'Plate corrected; decided again'],
  conflict: ['已由他人处理，或车辆已离开', 'Somebody was faster, or the vehicle has gone'],
  forbidden: ['当前角色无权执行此操作', 'Your role may not do this'],
  unknownYet: ['尚无答复：请先查看结果，再决定是否重试', 'No answer yet: check the result before trying again'],
  failed: ['未能完成：{why}', 'Not done: {why}'],
  time: ['时间', 'Time'],
  lane: ['通道', 'Lane'],
  plate: ['车牌', 'Plate'],
  verdict: ['决定', 'Verdict'],
  reason: ['理由', 'Reason'],
  state: ['状态', 'State'],
  by: ['处理人', 'By'],
  machine: ['系统', 'Machine'],
  cutOffLane: ['断网车道', 'Cut-off lane'],
  category: ['车辆类别', 'Category'],
  details: ['详情', 'Details'],
  versions: ['处理经过', 'History'],
  evidence: ['证据画面', 'Evidence'],
  evidenceGone: ['证据画面不在本节点', 'The evidence picture is not held here'],
  clause: ['条款', 'Clause'],
  noClause: ['系统提示，无条款', 'System notice, no clause'],
  enterprise: ['运输企业', 'Carrier'],
  effects: ['通过后生效', 'Effects at the passage'],
  violations: ['疑似违规', 'Suspected violations'],
  latency: ['判定用时', 'Decided in'],
  policy: ['规则版本', 'Policy revision'],
  registry: ['登记库版本', 'Registry revision'],
  decisionId: ['决定编号', 'Decision id'],
  arrived: ['到达', 'Arrived'],
  source: ['身份来源', 'Identity from'],
  src_manual: ['人工录入', 'typed in'],
  src_camera: ['车牌识别', 'camera'],
  src_card: ['港通卡', 'card'],
  src_qr: ['二维码', 'QR code'],
  confidence: ['可信度', 'Confidence'],
  more: ['另有 {n} 项', '{n} more'],
  keysHelp: ['↑↓ 选择　R 放行　F 拒绝　C 更正　I 查验　S 主管　↵ 详情', '↑↓ select  R release  F refuse  C plate  I inspect  S call  ↵ details'],
  lookOnly: ['当前角色只能查看，不能处理', 'Your role looks on; others decide'],
  checkpointNo: ['检查站 {id}', 'Checkpoint {id}'],
  ownCheckpoints: ['本人负责：{n}', 'Yours: {n}'],
  filterAll: ['全部', 'All'],
  barrier: ['栏杆', 'Barrier'],
} as const

const groups = {
  ...pageGroups,
  role: {
    guard: ['值守人员', 'guard'],
    supervisor: ['检查站主管', 'supervisor'],
    security: ['安保', 'security'],
    analyst: ['分析员', 'analyst'],
    registrar: ['登记员', 'registrar'],
    customs: ['海关', 'customs'],
    administrator: ['管理员', 'administrator'],
    device: ['设备', 'device'],
  },
  barrier: {
    closed: ['栏杆关闭', 'Barrier down'],
    opening: ['正在抬杆', 'Rising'],
    open: ['栏杆抬起', 'Barrier up'],
    closing: ['正在落杆', 'Lowering'],
    fault: ['栏杆故障', 'Barrier fault'],
    rejected: ['指令未执行', 'Command rejected'],
    expired: ['指令已失效', 'Command expired'],
  },
  direction: {
    ENTRY: ['进港', 'In'],
    EXIT: ['出港', 'Out'],
    OUTBOUND: ['出境', 'Outbound'],
    IMPORT_BORDER_IN: ['进境入口', 'Import, border in'],
    IMPORT_YARD_IN: ['进境货场入', 'Import, yard in'],
    EXPORT_YARD_IN: ['出境货场入', 'Export, yard in'],
    EXPORT_YARD_OUT: ['出境货场出', 'Export, yard out'],
    EXPORT_BORDER_OUT: ['出境出口', 'Export, border out'],
  },
  laneClass: { FREIGHT: ['货车', 'Freight'], PASSENGER: ['客车', 'Passenger'], MIXED: ['混合', 'Mixed'] },
  category: {
    PF_GENERAL: ['普通货运', 'General freight'],
    PF_CONTAINER: ['集装箱', 'Container'],
    PF_TRADE: ['商贸货运', 'Trade freight'],
    PF_DG: ['危险品', 'Dangerous goods'],
    PF_RESIDENT: ['驻港企业货运', 'Resident enterprise'],
    PF_SHORT_HAUL: ['港内短倒', 'Short haul'],
    PF_OTHER: ['其他货运', 'Other freight'],
    AUX_LONG: ['辅助生产（长期）', 'Auxiliary, long-term'],
    AUX_SINGLE: ['辅助生产（单次）', 'Auxiliary, single visit'],
    BIZ_GROUP: ['集团公务', 'Group business'],
    BIZ_STAFF: ['职工车辆', 'Staff'],
    BIZ_RESIDENT: ['驻港单位', 'Resident unit'],
    BIZ_PORTSIDE: ['临港单位', 'Port-side unit'],
    BIZ_RECEPTION: ['接待车辆', 'Reception'],
  },
  effect: {
    PRESENCE_OPENED: ['记为在港', 'Counted inside'],
    PRESENCE_CLOSED: ['记为离港', 'Counted outside'],
    SINGLE_CARD_CONSUMED: ['单次卡启用', 'Single card used'],
    SINGLE_CARD_RECOVERED: ['回收单次卡', 'Single card recovered'],
    TASK_ENTERED: ['任务已进港', 'Task entered'],
    TASK_COMPLETED: ['任务完成', 'Task completed'],
    EXIT_PERMIT_USED: ['出门证核销', 'Exit permit used'],
    LEAVE_CONSENT_USED: ['离港同意已用', 'Leave consent used'],
    RECEPTION_USED: ['接待备案已用', 'Reception used'],
    QR_USED: ['二维码核销', 'QR code used'],
  },
  alert: {
    BARRIER_FAULT: ['栏杆故障：请到现场查看', 'Barrier fault: look at it on site'],
    COMMAND_EXPIRED: ['抬杆指令过期未执行', 'An open command expired unexecuted'],
    UNAUTHORISED_PASSAGE: ['未经放行的通过', 'Passage without authorisation'],
    WATCH_LIST: ['布控车辆到达', 'A watched vehicle has come'],
    V_NO_SHOW_INSPECTION: ['未到查验区', 'Inspection not reached'],
    V_ESCORT_SHORT: ['押运人数或费用不足', 'Escort short'],
    V_ESCORT_RECORD_MISSING: ['缺押运记录', 'Escort record missing'],
    V_WRONG_LANE: ['走错通道', 'Wrong lane'],
    V_CARD_MISUSE: ['疑似卡证冒用', 'Card misuse suspected'],
    V_CLONE_PLATE_SUSPECTED: ['疑似套牌', 'Clone plate suspected'],
    V_BANNED_ATTEMPT: ['禁入车辆企图进港', 'Banned vehicle tried to enter'],
    V_CARGO_MISMATCH: ['货物与申报不符', 'Cargo differs from declaration'],
    V_UNAUTHORISED_LEAVE: ['未经同意离港', 'Leave without consent'],
    V_SEAL_TAMPER: ['关锁异常', 'Seal tampered with'],
    V_ROUTE_DEVIATION: ['偏离路线', 'Route deviation'],
    V_TAILGATING: ['跟车闯杆', 'Tailgating'],
    V_PASSED_WHILE_REFUSED: ['被拒后通过', 'Passed while refused'],
  },
  quickRelease: {
    checked: ['已现场核验，准予放行', 'Checked on site, may pass'],
    licence: ['已核对行驶证，与登记一致', 'Vehicle licence checked, agrees with the registry'],
    instructed: ['已接到放行指令', 'Release instruction received'],
  },
  quickRefuse: {
    papers: ['手续不符，请返回办理', 'Papers not in order, return and complete them'],
    lane: ['请改走正确通道', 'Use the right lane'],
    suspect: ['存在疑点，移交处理', 'Suspicious, handed over'],
  },
  severity: {
    info: ['提示', 'info'],
    low: ['轻微', 'low'],
    medium: ['一般', 'medium'],
    high: ['严重', 'high'],
    critical: ['紧急', 'critical'],
  },
} as const

export type Word = keyof typeof words

function pick(pair: readonly [string, string] | undefined): string | undefined {
  return pair?.[lang.value === 'zh' ? 0 : 1]
}

/** A word of the page in the language chosen; `{name}` is filled in. */
export function t(word: Word, fill: Record<string, string | number> = {}): string {
  const text = pick(words[word]) ?? word
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(fill[name] ?? ''))
}

/** The word for a code; a code unknown here is shown as it is. */
export function term(group: keyof typeof groups, code: string | null | undefined): string {
  if (!code) return ''
  const all: Record<string, readonly [string, string]> = groups[group]
  return pick(all[code]) ?? code
}

const quick = {
  release: groups.quickRelease,
  refuse: groups.quickRefuse,
  inspection: groups.quickInspection,
  supervisor: groups.quickSupervisor,
  verify: groups.quickVerify,
  dismiss: groups.quickDismiss,
}

/** The quick reasons offered, the default first. */
export function quickReasons(action: keyof typeof quick): string[] {
  const group: Record<string, readonly [string, string]> = quick[action]
  return Object.values(group).map((pair) => pick(pair) ?? '')
}

/** The reason sent with a one-key release: all checks passed. */
export function inOrderReason(): string {
  return lang.value === 'zh' ? '核验无误，人工放行' : 'All checks passed; released by hand'
}

/** Several in a row. */
export function listed(words: readonly string[]): string {
  return words.join(lang.value === 'zh' ? '、' : ', ')
}

/** A reason's text in the language chosen. */
export function reasonText(reason: { zh: string; en: string }): string {
  return lang.value === 'zh' ? reason.zh : reason.en
}
