// The service's addresses, in one place. An error carries the service's own sentence.

const KEY = "affectus.token";

export class ServiceError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export const token = () => sessionStorage.getItem(KEY);
export const keepToken = (value) => sessionStorage.setItem(KEY, value);

let askForToken = () => Promise.reject(new ServiceError("token", "a token is needed"));
export const onToken = (ask) => { askForToken = ask; };

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

export const call = async (path, { tries = 4, onBusy = () => {}, ...options } = {}) => {
  for (let left = tries; ; left -= 1) {
    const headers = { ...options.headers };
    if (token()) headers.Authorization = `Bearer ${token()}`;
    let response;
    try {
      response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServiceError("away", "The service does not answer. Is it still running?");
    }
    if (response.ok) return response;
    const { error } = await response.json().catch(() => ({ error: null }));
    if (response.status === 401) {
      await askForToken();
      continue;
    }
    if ((response.status === 503 || response.status === 429) && left > 1) {
      onBusy();
      await pause(Number(response.headers.get("Retry-After") ?? 1) + Math.random());
      continue;
    }
    throw new ServiceError(error?.code ?? String(response.status), error?.message ?? response.statusText);
  }
};

export const listModels = async () => (await call("/v1/models")).json();
export const readCard = async (name) => (await call(`/v1/models/${encodeURIComponent(name)}/card`)).text();

export const predict = async (file, name, models, onBusy) => {
  const query = new URLSearchParams({ name: name.slice(0, 200) });
  for (const model of models) query.append("model", model);
  const headers = { "Content-Type": "application/octet-stream" };
  const response = await call(`/v1/predict?${query}`, { method: "POST", body: file, headers, onBusy });
  return response.json();
};

const base64url = (text) =>
  btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export const openStream = (rate, model) => {
  const query = new URLSearchParams({ rate: String(rate), format: "s16", window: "3", hop: "1", model });
  const protocols = token() ? ["affectus.v1", `affectus.token.${base64url(token())}`] : [];
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/v1/stream?${query}`, protocols);
  socket.binaryType = "arraybuffer";
  return socket;
};
