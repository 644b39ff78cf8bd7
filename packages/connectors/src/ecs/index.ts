export { type EcsConnection, type EcsSettings, type EcsTaskOptions, ecs } from './connection.ts';
