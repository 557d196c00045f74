import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

// `npm run dev` works against a running gate: PORTGATE_URL, or its default address.
const gate = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env.PORTGATE_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [vue()],
  server: { host: '127.0.0.1', proxy: { '/v1': gate } },
  build: { target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 900, reportCompressedSize: false },
})
