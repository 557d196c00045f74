// What a person has chosen for this screen: language and theme. Kept in the browser.

import { ref, watchEffect } from 'vue'

export type Lang = 'zh' | 'en'
export type Theme = 'dark' | 'light'

function stored<T extends string>(key: string, allowed: readonly T[], otherwise: T): T {
  const value = localStorage.getItem(key) as T | null
  return value !== null && allowed.includes(value) ? value : otherwise
}

const prefersLight = matchMedia('(prefers-color-scheme: light)').matches

export const lang = ref<Lang>(stored('portgate.lang', ['zh', 'en'], 'zh'))
export const theme = ref<Theme>(stored('portgate.theme', ['dark', 'light'], prefersLight ? 'light' : 'dark'))

watchEffect(() => {
  document.documentElement.lang = lang.value === 'zh' ? 'zh-CN' : 'en'
  localStorage.setItem('portgate.lang', lang.value)
})

watchEffect(() => {
  document.documentElement.classList.toggle('dark', theme.value === 'dark')
  localStorage.setItem('portgate.theme', theme.value)
})
