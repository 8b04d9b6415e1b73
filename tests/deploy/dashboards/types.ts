// The types of a Grafana dashboard as JSON has it: its enumerations are their values.
import type { AnnotationQuery, Dashboard } from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type { FieldConfig as StateField, Options as State } from '@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen';
import type { Options as Stat } from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type { FieldConfig as TableField, Options as Table } from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type { FieldConfig as SeriesField, Options as Series } from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';

type Json<T> = T extends string ? `${T}` : T extends number ? number : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// What Prometheus' plugin reads of an annotation beside the schema's own fields.
type Asked = Json<AnnotationQuery> & { expr: string; step: string; titleFormat: string; textFormat: string };

export type Board = Omit<Json<Dashboard>, 'annotations'> & { annotations: { list?: Asked[] } };
export type Query = {
  datasource: { type: 'prometheus'; uid: string };
  expr: string;
  refId: string;
  legendFormat?: string;
  instant?: boolean;
  range?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
};
export type Options = {
  stat: Json<Partial<Stat>>;
  statetimeline: Json<Partial<State>>;
  table: Json<Partial<Table>>;
  timeseries: Json<Partial<Series>>;
};
export type Fields = {
  stat: Record<string, never>;
  statetimeline: Json<Partial<StateField>>;
  table: Json<Partial<TableField>>;
  timeseries: Json<Partial<SeriesField>>;
};
