import { type AlertKind, type AlertTarget, MillraceError, type Setting } from '@millrace/core/runtime';
import type { Redactor } from '../../secrets/redact.ts';
import type { Secrets } from '../../secrets/secrets.ts';
import type { Recipient } from '../../store/alerts.ts';
import type { Alert } from './alert.ts';
import { snsSender } from './sns.ts';

/** Somebody who is told of alerts. */
export interface Target extends Recipient {
  /** Resolves when the other side has taken it. What it rejects with holds no URL. */
  readonly send: (alert: Alert, signal: AbortSignal) => Promise<void>;
}

const everything: readonly AlertKind[] = ['failed', 'late', 'recovered'];

/**
 * The targets of a configuration, with their secrets looked up.
 *
 * @throws SECRET_MISSING, CONFIG_INVALID where an address is none, UNSUPPORTED where a package is missing
 */
export async function alertTargets(alerts: Readonly<Record<string, AlertTarget>>, secrets: Secrets): Promise<Target[]> {
  return Promise.all(
    Object.entries(alerts).map(async ([target, config]) => ({
      target,
      kinds: config.on ?? everything,
      pipelines: config.pipelines ?? null,
      send: await sender(target, config, secrets),
    })),
  );
}

async function sender(name: string, config: AlertTarget, secrets: Secrets): Promise<Target['send']> {
  if ('sns' in config) return snsSender(name, typeof config.sns === 'string' ? config.sns : await secrets.get(config.sns));
  const slack = 'slack' in config;
  const url = await address(name, slack ? config.slack : config.webhook, secrets);
  return (alert, signal) => post(url, slack ? slackMessage(alert) : webhookMessage(alert), alert.id, signal);
}

/** The URL of a webhook is as good as a password, wherever it is written. */
async function address(name: string, setting: Setting, secrets: Secrets & Redactor): Promise<string> {
  const url = typeof setting === 'string' ? setting : await secrets.get(setting);
  secrets.hide(url);
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) {
    secrets.hide(new URL(url).href);
    return url;
  }
  throw new MillraceError('CONFIG_INVALID', {
    message: `The address of the alert target "${name}" is no http or https URL.`,
    remedy: `Check "alerts.${name}" in the environment, and the secret that it names.`,
    facts: { target: name },
  });
}

async function post(url: string, body: unknown, id: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': 'millrace', 'idempotency-key': encodeURIComponent(id) },
    body: JSON.stringify(body),
    redirect: 'manual',
    signal,
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`answered ${response.status}`);
}

const webhookMessage = (alert: Alert) => ({ version: 1, ...alert });

const signs: Readonly<Record<AlertKind, string>> = { failed: ':x:', late: ':hourglass_flowing_sand:', recovered: ':white_check_mark:' };

/** https://api.slack.com/messaging/webhooks, whose texts end at 3,000 characters. */
function slackMessage({ kind, title, text, run, logicalTime }: Alert) {
  const context = [run && `run ${run}`, logicalTime && `for ${logicalTime}`].filter(Boolean).join(' · ');
  const block = (type: 'section' | 'context', content: string) => {
    const piece = { type: 'mrkdwn', text: content.slice(0, 2_900) };
    return type === 'section' ? { type, text: piece } : { type, elements: [piece] };
  };
  return {
    text: forSlack(title).slice(0, 2_900),
    blocks: [
      block('section', `${signs[kind]} *${forSlack(title)}*\n${forSlack(text)}`),
      ...(context === '' ? [] : [block('context', forSlack(context))]),
    ],
  };
}

const forSlack = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
