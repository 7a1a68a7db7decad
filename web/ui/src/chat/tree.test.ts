import { describe, expect, it } from 'vitest'
import type { Message } from '../app/wire'
import { leafUnder, pathTo } from './tree'

const message = (id: string, parent: string | null, role = id.startsWith('q') ? 'user' : 'assistant'): Message => ({
  id,
  parent,
  role,
  parts: [],
  state: 'done',
  turn: null,
  model: null,
  author_name: null,
  created_at: '',
})

const TREE = [message('q1', null), message('a1', 'q1'), message('q2', 'a1'), message('a2', 'q2'), message('a1b', 'q1'), message('q1b', null), message('a3', 'q1b')]

describe('the shown path', () => {
  it('leads from the root to the head', () => {
    expect(pathTo(TREE, 'a2').map(({ message: { id } }) => id)).toEqual(['q1', 'a1', 'q2', 'a2'])
  })

  it('knows the branches at each message', () => {
    const [question, answer] = pathTo(TREE, 'a1b')
    expect(question).toMatchObject({ siblings: ['q1', 'q1b'], index: 0 })
    expect(answer).toMatchObject({ siblings: ['a1', 'a1b'], index: 1 })
  })

  it('ends at the newest message when the head is unknown', () => {
    expect(pathTo(TREE, null).at(-1)?.message.id).toBe('a3')
  })

  it('leaves out system texts', () => {
    expect(pathTo([message('s', null, 'system'), message('q', 's')], 'q').map(({ message: { id } }) => id)).toEqual(['q'])
  })

  it('ends even in a damaged tree', () => {
    expect(pathTo([message('q1', 'a1'), message('a1', 'q1')], 'a1')).toHaveLength(2)
  })
})

describe('switching a branch', () => {
  it('goes on to its newest end', () => {
    expect(leafUnder(TREE, 'a1')).toBe('a2')
    expect(leafUnder(TREE, 'q1')).toBe('a1b')
    expect(leafUnder(TREE, 'a3')).toBe('a3')
  })
})
