/* The JSON of `/api` as the page reads it: names and shapes are the server's. */

export interface Account {
  readonly id: string
  readonly name: string | null
  readonly display_name: string
  readonly role: string
  readonly locale: string | null
  readonly must_change_password: boolean
  readonly default_model: string | null
}

export interface Me {
  readonly account: Account
  readonly balance: { readonly available: number; readonly text: string }
  readonly site: { readonly name: string }
  readonly identities: readonly { readonly provider: string; readonly display: string }[]
}

export interface ModelItem {
  readonly name: string
  readonly demo: boolean
  readonly free: boolean
}

export interface Models {
  readonly items: readonly ModelItem[]
  readonly default: string | null
}

export interface ConversationItem {
  readonly id: string
  readonly title: string
  readonly door: string
  readonly updated_at: string
  readonly model: string | null
  readonly running: boolean
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | null
}

export type Part =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'reasoning'; readonly text: string }
  | { readonly type: 'image'; readonly url: string }
  | { readonly type: 'tool_call'; readonly name: string; readonly arguments: string }
  | { readonly type: 'tool_result'; readonly text: string }

export type MessageState = 'done' | 'streaming' | 'partial' | 'failed'

export interface Message {
  readonly id: string
  readonly parent: string | null
  readonly role: string
  readonly parts: readonly Part[]
  readonly state: MessageState
  readonly turn: string | null
  readonly model: string | null
  readonly author_name: string | null
  readonly created_at: string
}

export interface Turn {
  readonly id: string
  readonly conversation: string
  readonly state: string
  readonly position: number | null
  readonly user_message: string | null
  readonly answer: string | null
}

/** A turn that runs or waits, as an opened conversation tells it. */
export interface OpenTurn {
  readonly id: string
  readonly state: 'queued' | 'running'
  readonly position: number | null
  readonly user_message: string | null
  readonly answer: string | null
  /** The question of a turn that still waits; it is no message yet. */
  readonly text?: string | null
  readonly epoch: string | number | null
  readonly seq: number | null
}

export interface TurnNotice {
  readonly code: string
  readonly message: string
}

export interface TurnEnd {
  readonly state: string
  readonly finish: string | null
  readonly error: { readonly code: string; readonly message: string } | null
  readonly cost_text: string | null
  readonly notices: readonly TurnNotice[]
}

export interface OpenedConversation {
  readonly conversation: {
    readonly id: string
    readonly title: string
    readonly door: string
    readonly model: string | null
    readonly head: string | null
    readonly updated_at: string
  }
  readonly messages: readonly Message[]
  readonly turns: readonly OpenTurn[]
  readonly ended: Readonly<Record<string, TurnEnd>>
}

export type TurnEvent =
  | { readonly type: 'accepted'; readonly user_message: string; readonly answer: string; readonly model: string }
  | { readonly type: 'text_added'; readonly offset: number; readonly text: string }
  | { readonly type: 'reasoning_added'; readonly offset: number; readonly text: string }
  | { readonly type: 'tool_used'; readonly name: string }
  | { readonly type: 'notice'; readonly code: string; readonly message?: string }
  | { readonly type: 'finished'; readonly reason: string; readonly cost_text?: string | null }
  | { readonly type: 'failed'; readonly code: string; readonly message?: string; readonly kept: boolean }
  | { readonly type: 'snapshot'; readonly message: { readonly parts: readonly Part[] }; readonly seq: number }

export type AccountEvent =
  | { readonly type: 'conversation_changed'; readonly conversation: string }
  | { readonly type: 'turn_started'; readonly conversation: string; readonly turn: string }
  | { readonly type: 'turn_ended'; readonly conversation: string; readonly turn: string }
  | { readonly type: 'balance_changed' }
  | { readonly type: 'link_changed'; readonly link: string }

export interface Link {
  readonly id: string
  readonly side: 'issuer' | 'claimant'
  readonly other_label: string | null
  readonly mine_agreed: boolean
  readonly other_agreed: boolean
  readonly state: 'open' | 'claimed' | 'done' | 'refused' | 'expired'
  readonly expires_at: string
}
